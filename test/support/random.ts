/** A pseudo-random generator with a seed, so that a failure can be reproduced. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
    // Neighbouring seeds begin with similar numbers.
    for (let count = 0; count < 5; count++) this.below(1)
  }

  /** Returns a whole number from 0 up to, but without, `limit`, which is small. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return (this.#state >>> 8) % limit
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}
