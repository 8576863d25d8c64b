/**
 * Limits the bytes that are written to all clients together in one iteration of the event loop. Bytes in memory could be
 * written to hundreds of clients without a pause, during which neither Git's output nor any request would be read.
 */
export class WriteBudget {
  readonly #bytesPerIteration: number
  readonly #iterationEnd: (call: () => void) => void
  #left: number
  #ending = false
  /** The writes that wait for a later iteration, oldest first. */
  #waiting: { readonly bytes: number; readonly go: () => void }[] = []

  /** @param iterationEnd calls at the end of the current iteration of the event loop */
  constructor(bytesPerIteration: number, iterationEnd = (call: () => void): void => void setImmediate(call)) {
    this.#bytesPerIteration = bytesPerIteration
    this.#iterationEnd = iterationEnd
    this.#left = bytesPerIteration
  }

  /** Asks to write that many bytes. @returns undefined if they may be written now; else resolves in a later iteration */
  take(bytes: number): Promise<void> | undefined {
    this.#awaitEnd()
    if (this.#left > 0) {
      this.#left -= bytes
      return undefined
    }
    return new Promise((go) => this.#waiting.push({ bytes, go }))
  }

  /** Begins a new iteration: the writes that have waited for longest go on first. */
  #begin(): void {
    this.#ending = false
    this.#left = this.#bytesPerIteration
    let served = 0
    for (const { bytes, go } of this.#waiting) {
      if (this.#left <= 0) break
      this.#left -= bytes
      served++
      go()
    }
    this.#waiting = this.#waiting.slice(served)
    if (this.#left < this.#bytesPerIteration) this.#awaitEnd()
  }

  #awaitEnd(): void {
    if (this.#ending) return
    this.#ending = true
    this.#iterationEnd(() => this.#begin())
  }
}
