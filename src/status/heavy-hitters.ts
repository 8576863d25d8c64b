/** A key with its estimated sum. The true sum is at most `count`, and at least `count - error`. */
export interface HeavyHitter {
  readonly key: string
  readonly count: number
  readonly error: number
}

/**
 * The keys with the largest sums of a stream, in bounded memory: the Space-Saving sketch (Metwally, Agrawal, El Abbadi, 2005).
 * A key that is not among the counted ones takes the place of the smallest, and inherits its sum as its possible error. So no
 * sum is underestimated, no error is larger than total ÷ capacity, and every key with a larger share than that is counted.
 */
export class HeavyHitters {
  readonly #capacity: number
  readonly #places = new Map<string, number>()
  readonly #keys: string[] = []
  readonly #counts: number[] = []
  readonly #errors: number[] = []

  /** @param capacity most keys that are counted */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Adds to the sum of a key: O(1) for one that is counted, O(capacity) for another one. */
  add(key: string, weight = 1): void {
    const place = this.#places.get(key)
    if (place !== undefined) {
      this.#counts[place]! += weight
      return
    }
    if (this.#keys.length < this.#capacity) this.#put(this.#keys.length, key, weight, 0)
    else {
      const smallest = this.#smallest()
      this.#places.delete(this.#keys[smallest]!)
      const inherited = this.#counts[smallest]!
      this.#put(smallest, key, inherited + weight, inherited)
    }
  }

  /** Returns the keys with the largest sums, the largest first. */
  top(most: number): HeavyHitter[] {
    return this.#keys
      .map((key, place) => ({ key, count: this.#counts[place]!, error: this.#errors[place]! }))
      .sort(byCount)
      .slice(0, most)
  }

  #put(place: number, key: string, count: number, error: number): void {
    this.#places.set(key, place)
    this.#keys[place] = key
    this.#counts[place] = count
    this.#errors[place] = error
  }

  #smallest(): number {
    let smallest = 0
    for (let place = 1; place < this.#counts.length; place++)
      if (this.#counts[place]! < this.#counts[smallest]!) smallest = place
    return smallest
  }
}

const byCount = (a: HeavyHitter, b: HeavyHitter): number =>
  b.count - a.count || (a.key < b.key ? -1 : Number(a.key > b.key))

/** Adds up sketches of different streams (of several processes, or of several periods). */
export function summedHitters(lists: Iterable<readonly HeavyHitter[]>, most: number): HeavyHitter[] {
  const sums = new Map<string, HeavyHitter>()
  for (const list of lists) {
    for (const { key, count, error } of list) {
      const sum = sums.get(key)
      sums.set(key, { key, count: count + (sum?.count ?? 0), error: error + (sum?.error ?? 0) })
    }
  }
  return [...sums.values()].sort(byCount).slice(0, most)
}
