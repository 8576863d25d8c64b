import { HeavyHitters, summedHitters, type HeavyHitter } from './heavy-hitters.js'

/** Keys that one sketch counts: more than are shown, so that those that are shown have small errors. */
const capacity = 256
/** Characters of a key that are kept: names come from clients. */
const keyMax = 512

export interface RecentHittersOptions {
  /** Milliseconds of one period; what is shown is of the last one to two periods. */
  readonly periodMs: number
  readonly now?: () => number
}

/** The largest keys of late: a sketch of the current period, and that of the one before. */
export class RecentHitters {
  readonly #periodMs: number
  readonly #now: () => number
  #before: HeavyHitters | undefined
  #current = new HeavyHitters(capacity)
  #beganAt: number
  #beforeAt: number

  constructor({ periodMs, now = () => performance.now() }: RecentHittersOptions) {
    this.#periodMs = periodMs
    this.#now = now
    this.#beganAt = this.#beforeAt = now()
  }

  add(key: string, weight = 1): void {
    this.#turn()
    this.#current.add(key.length > keyMax ? key.slice(0, keyMax) : key, weight)
  }

  /** Milliseconds that are shown. */
  get spanMs(): number {
    this.#turn()
    return this.#now() - this.#beforeAt
  }

  top(most: number): HeavyHitter[] {
    this.#turn()
    return summedHitters([this.#current.top(capacity), this.#before?.top(capacity) ?? []], most)
  }

  #turn(): void {
    const now = this.#now()
    const passed = now - this.#beganAt
    if (passed < this.#periodMs) return
    const isLong = passed >= 2 * this.#periodMs
    this.#before = isLong ? undefined : this.#current
    this.#beforeAt = isLong ? now : this.#beganAt
    this.#current = new HeavyHitters(capacity)
    this.#beganAt = now
  }
}
