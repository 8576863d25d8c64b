import { createHash } from 'node:crypto'

/** A key of an engine: digests, as engine.ts demands them. */
export interface DigestedKey {
  readonly repository: string
  readonly key: string
}

/**
 * The names by which an engine knows repositories and keys: digests of 43 characters, so that it sees neither paths nor
 * URLs. They are the same on all nodes of a fleet, and differ between fleets that use one engine.
 */
export class FleetNames {
  readonly #fleet: string

  constructor(fleet: string) {
    this.#fleet = fleet
  }

  repository(name: string): string {
    return this.#digest('repository', name)
  }

  of({ repository, key }: { readonly repository: string; readonly key: string }): DigestedKey {
    return { repository: this.repository(repository), key: this.#digest('key', key) }
  }

  #digest(kind: string, name: string): string {
    // The name of a fleet holds no zero byte, so no two of these begin alike.
    return createHash('sha256').update(`${this.#fleet}\0${kind}\0${name}`).digest('base64url')
  }
}
