/** Milliseconds for which the record of a repository that is never asked for is kept. */
export const idleMs = 30 * 86_400_000

/**
 * Names of what a fleet stores. All that concerns a repository has one hash slot, so that a script may change it at one
 * step; so has what concerns the fleet as a whole. All names begin with `{NAME:`, for an ACL rule.
 */
export class RedisKeys {
  readonly #fleet: string

  constructor(fleet: string) {
    this.#fleet = fleet
  }

  /** The channel on which hints are told. */
  get hints(): string {
    return `{${this.#fleet}:}:hints`
  }

  get members(): string {
    return `{${this.#fleet}:}:members`
  }

  /** Ids of open mutator leases; a list for operators, which may lack one or have one too many for a while. */
  get leases(): string {
    return `{${this.#fleet}:}:leases`
  }

  ofRepository(repository: string): string[] {
    return ['record', 'leases', 'bodies'].map((kind) => `{${this.#fleet}:${repository}}:${kind}`)
  }

  ofFill(repository: string, key: string): string[] {
    const ofKey = ['fill', 'entry', 'failure'].map((kind) => `{${this.#fleet}:${repository}}:${kind}:${key}`)
    return [...this.ofRepository(repository), ...ofKey]
  }
}
