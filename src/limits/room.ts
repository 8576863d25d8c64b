/** A place for so many and no more: connections, or followers. */
export class Room {
  readonly #max: number
  #inside = 0

  constructor(max: number) {
    this.#max = max
  }

  get inside(): number {
    return this.#inside
  }

  /** undefined: it is full. Else what to call on leaving; called again, it does nothing. */
  enter(): (() => void) | undefined {
    if (this.#inside >= this.#max) return undefined
    this.#inside++
    let left = false
    return () => {
      if (left) return
      left = true
      this.#inside--
    }
  }
}
