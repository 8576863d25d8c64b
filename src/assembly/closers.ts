/** Closes the parts of a sidecar, the last opened first, whether all of them were opened or not. */
export class Closers {
  readonly #closers: (() => void | Promise<void>)[] = []

  /** Adds what closes a part that has just been opened. */
  add(close: () => void | Promise<void>): void {
    this.#closers.push(close)
  }

  /** Closes all that is open. Called again, it does nothing. */
  async close(): Promise<void> {
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) await close()
  }
}
