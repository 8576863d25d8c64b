/** Why there is nothing to take: all is taken, or the group has as much as one may have for now. */
export type ShareRefusal = 'full' | 'share'

/**
 * Divides a number of places, or of bytes, among groups, so that none takes all. A group may take more as long as what it
 * then has is at most `factor` times what is left. So one group alone can have `factor` in `factor + 1` of everything,
 * and each greedy group after it the same part of the rest: somebody new always finds some.
 */
export class FairShares {
  readonly #max: number
  readonly #factor: number
  readonly #free: number
  /** Of groups that have something. */
  readonly #own = new Map<string, number>()
  #taken = 0

  /** @param free what each group may have whatever is left, as long as there is any */
  constructor(max: number, factor: number, free = 0) {
    this.#max = max
    this.#factor = factor
    this.#free = free
  }

  get taken(): number {
    return this.#taken
  }

  /**
   * Takes so much for a group. undefined: it has it.
   * @param group undefined: belongs to no group, and is bounded by what is left alone
   */
  take(group: string | undefined, amount = 1): ShareRefusal | undefined {
    const left = this.#max - this.#taken - amount
    if (left < 0) return 'full'
    if (group !== undefined) {
      const own = (this.#own.get(group) ?? 0) + amount
      // The last one is for whoever has hardly any.
      if (own > Math.max(this.#free, (left + 1) * this.#factor)) return 'share'
      this.#own.set(group, own)
    }
    this.#taken += amount
    return undefined
  }

  /** Gives back what a group has taken. */
  give(group: string | undefined, amount = 1): void {
    this.#taken -= amount
    if (group === undefined) return
    const own = (this.#own.get(group) as number) - amount
    if (own > 0) this.#own.set(group, own)
    else this.#own.delete(group)
  }
}

/** What one holder takes of a group's share, bit by bit, to give it back all at once. */
export class ShareHolding {
  readonly #shares: FairShares
  readonly #group: string | undefined
  #amount = 0

  constructor(shares: FairShares, group: string | undefined) {
    this.#shares = shares
    this.#group = group
  }

  /** Was there so much more to take? */
  take(amount: number): boolean {
    if (this.#shares.take(this.#group, amount) !== undefined) return false
    this.#amount += amount
    return true
  }

  release(): void {
    if (this.#amount > 0) this.#shares.give(this.#group, this.#amount)
    this.#amount = 0
  }
}
