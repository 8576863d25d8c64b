/** Where a value stands in a line; only the line changes it. */
export class Place<T> {
  readonly value: T
  before: Place<T> | undefined
  after: Place<T> | undefined
  isInLine = true

  constructor(value: T) {
    this.value = value
  }
}

/**
 * Values in the order in which they came; each may leave from anywhere in the line. A Set could do the same. But V8 makes a
 * new table for a Set every few changes, and each old table refers to the next one. Once one of them has become old in the
 * garbage collector's sense, all tables after it survive too, with the requests in them, until the next full collection:
 * of what busy queues had let go, that was most. A place that was left refers to no other.
 */
export class Line<T> {
  #first: Place<T> | undefined
  #last: Place<T> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The place that is served next; undefined: the line is empty. */
  get first(): Place<T> | undefined {
    return this.#first
  }

  /** Adds a value at the end. */
  enter(value: T): Place<T> {
    const place = new Place(value)
    place.before = this.#last
    if (this.#last) this.#last.after = place
    else this.#first = place
    this.#last = place
    this.#size++
    return place
  }

  /** Gives a place of this line up. @returns false: that was done before */
  leave(place: Place<T>): boolean {
    if (!place.isInLine) return false
    const { before, after } = place
    if (before) before.after = after
    else this.#first = after
    if (after) after.before = before
    else this.#last = before
    place.isInLine = false
    place.before = place.after = undefined
    this.#size--
    return true
  }
}
