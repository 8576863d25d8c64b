/** What mutator leases and invalidations have told of a repository, without the leases that are open. */
export interface EpochCounts {
  readonly openings: number
  readonly changes: number
}

/** Most repositories of which counts of their own are kept. */
export const countsMax = 100_000

/**
 * Counts that never decrease, one pair for each repository. The repositories that had changes or leases lately have counts of
 * their own (LRU); all others share a pair which is at least as high as each that was given up.
 */
export class EpochTable {
  readonly #countsMax: number
  /** The last changed ones last. */
  readonly #counts = new Map<string, EpochCounts>()
  #shared: EpochCounts = { openings: 0, changes: 0 }

  constructor(max = countsMax) {
    this.#countsMax = max
  }

  get size(): number {
    return this.#counts.size
  }

  of(repository: string): EpochCounts {
    return this.#counts.get(repository) ?? this.#shared
  }

  addOpening(repository: string): void {
    const { openings, changes } = this.of(repository)
    this.#set(repository, { openings: openings + 1, changes })
  }

  addChange(repository: string): void {
    const { openings, changes } = this.of(repository)
    this.#set(repository, { openings, changes: changes + 1 })
  }

  #set(repository: string, counts: EpochCounts): void {
    this.#counts.delete(repository)
    this.#counts.set(repository, counts)
    if (this.#counts.size <= this.#countsMax) return
    const [oldest, { openings, changes }] = this.#counts.entries().next().value!
    this.#counts.delete(oldest)
    this.#shared = {
      openings: Math.max(this.#shared.openings, openings),
      changes: Math.max(this.#shared.changes, changes),
    }
  }
}
