import type { Header } from './messages.js'

/** A revision of a cluster's data. */
export interface Revision {
  readonly clusterId: string
  readonly number: number
}

/**
 * Remembers the newest revision that is known here. An answer that is older, though etcd was asked later, comes from an etcd that
 * has lost writes: by a restored backup, or by a disk that did not keep them.
 */
export class Revisions {
  #newest: Revision | undefined

  /** To be read before etcd is asked. */
  get newest(): Revision | undefined {
    return this.#newest
  }

  note({ clusterId, revision }: Header): void {
    const number = Number(revision)
    if (this.#newest?.clusterId !== clusterId || this.#newest.number < number)
      this.#newest = { clusterId, number }
  }

  /**
   * Notes a linearizable answer, and tells whether writes were lost before it.
   * @param before the newest revision that was known when etcd was asked
   * @param isWrite has the answer a revision of its own?
   */
  hasLost({ clusterId, revision }: Header, before: Revision | undefined, isWrite: boolean): boolean {
    const number = Number(revision)
    const hasLost = before?.clusterId === clusterId && number < before.number + (isWrite ? 1 : 0)
    if (hasLost) this.#newest = { clusterId, number }
    else this.note({ clusterId, revision })
    return hasLost
  }
}
