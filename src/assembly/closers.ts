type Close = () => void | Promise<void>

/** Closes the parts of a sidecar, the last opened first, whether all of them were opened or not. */
export class Closers {
  readonly #closers: Close[] = []
  #closing: Promise<void> | undefined

  /** Adds what closes a part that has just been opened. */
  add(close: Close): void {
    this.#closers.push(close)
  }

  /**
   * Closes all parts once; every call resolves when that is done. A part that fails to close does not keep others open.
   * @throws the first error, or rejects with it, after all others are closed
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#closeAll())
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = []
    for (const close of this.#closers.reverse()) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
