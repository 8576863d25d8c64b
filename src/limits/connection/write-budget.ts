/**
 * Bytes that may be handed to clients in one turn of the event loop, for all of them together. What is in memory could
 * be sent to hundreds of clients without a pause; meanwhile Git's output would not be read, and nobody's request.
 */
export class WriteBudget {
  readonly #bytesPerTurn: number
  readonly #turnEnd: (call: () => void) => void
  #left: number
  #ending = false
  /** Those who come next, with what they will hand over. */
  #waiting: { readonly bytes: number; readonly go: () => void }[] = []

  /** @param turnEnd calls at the end of this turn of the event loop */
  constructor(bytesPerTurn: number, turnEnd = (call: () => void): void => void setImmediate(call)) {
    this.#bytesPerTurn = bytesPerTurn
    this.#turnEnd = turnEnd
    this.#left = bytesPerTurn
  }

  /** Leave to hand over so many bytes: undefined if it is given now; otherwise it resolves in one of the next turns. */
  take(bytes: number): Promise<void> | undefined {
    this.#awaitEnd()
    if (this.#left > 0) {
      this.#left -= bytes
      return undefined
    }
    return new Promise((go) => this.#waiting.push({ bytes, go }))
  }

  /** A new turn: those go on who have waited for longest. */
  #begin(): void {
    this.#ending = false
    this.#left = this.#bytesPerTurn
    let served = 0
    for (const { bytes, go } of this.#waiting) {
      if (this.#left <= 0) break
      this.#left -= bytes
      served++
      go()
    }
    this.#waiting = this.#waiting.slice(served)
    if (this.#left < this.#bytesPerTurn) this.#awaitEnd()
  }

  #awaitEnd(): void {
    if (this.#ending) return
    this.#ending = true
    this.#turnEnd(() => this.#begin())
  }
}
