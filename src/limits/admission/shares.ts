import { LingeringMap } from '../lingering-map.js'

/** Why nothing can be taken. `full`: all is taken; `share`: the group has as much as one group may have for now. */
type ShareDenial = 'full' | 'share'

/**
 * Divides a number of places, or of bytes, among groups, so that no group takes all of them. A group may take more as long
 * as what it then has is at most `factor` times what is left. So a single group can have `factor` in `factor + 1` of
 * everything, and each greedy group after it the same part of the rest: a new group always finds something.
 */
export class FairShares {
  readonly #max: number
  readonly #factor: number
  readonly #guaranteed: number
  /** What each group has. */
  readonly #held = new LingeringMap<string, number>((held) => held === 0)
  #taken = 0

  /** @param guaranteed what each group may have whatever is left, as long as there is any */
  constructor(max: number, factor: number, guaranteed = 0) {
    this.#max = max
    this.#factor = factor
    this.#guaranteed = guaranteed
  }

  /** What all groups have together. */
  get taken(): number {
    return this.#taken
  }

  /**
   * Takes an amount for a group.
   * @param group undefined: the amount belongs to no group, and is bounded only by what is left
   * @returns undefined if it was taken, otherwise why not
   */
  take(group: string | undefined, amount = 1): ShareDenial | undefined {
    const left = this.#max - this.#taken - amount
    if (left < 0) return 'full'
    if (group !== undefined) {
      const held = (this.#held.get(group) ?? 0) + amount
      // `left + 1`: the last one may go to a group that has hardly any.
      if (held > Math.max(this.#guaranteed, (left + 1) * this.#factor)) return 'share'
      this.#held.set(group, held)
    }
    this.#taken += amount
    return undefined
  }

  /** Gives back an amount that a group has taken. */
  give(group: string | undefined, amount = 1): void {
    this.#taken -= amount
    if (group === undefined) return
    this.#held.set(group, (this.#held.get(group) ?? 0) - amount)
  }
}

/** What one request takes of its group's share, step by step, and gives back all at once. */
export class ShareHolding {
  readonly #shares: FairShares
  readonly #group: string | undefined
  #amount = 0

  constructor(shares: FairShares, group: string | undefined) {
    this.#shares = shares
    this.#group = group
  }

  /** Takes an amount more. @returns whether there was enough left */
  take(amount: number): boolean {
    if (this.#shares.take(this.#group, amount) !== undefined) return false
    this.#amount += amount
    return true
  }

  /** Gives back all that was taken. */
  release(): void {
    if (this.#amount > 0) this.#shares.give(this.#group, this.#amount)
    this.#amount = 0
  }
}
