/** Counts the questions under way and their bytes, up to a limit. */
export class QuestionLimit {
  readonly #countMax: number
  readonly #bytesMax: number
  #count = 0
  #bytes = 0
  #none: (() => void) | undefined

  constructor(countMax: number, bytesMax: number) {
    this.#countMax = countMax
    this.#bytesMax = bytesMax
  }

  get count(): number {
    return this.#count
  }

  /** @returns to be called when the question has ended; undefined: the limit is reached */
  take(bytes: number): (() => void) | undefined {
    if (this.#count >= this.#countMax || this.#bytes + bytes > this.#bytesMax) return undefined
    this.#count++
    this.#bytes += bytes
    return () => {
      this.#bytes -= bytes
      if (--this.#count === 0) this.#none?.()
    }
  }

  /** Calls as soon as no question is under way; at once if none is. */
  whenNone(call: () => void): void {
    this.#none = call
    if (this.#count === 0) call()
  }
}
