/** Watches for pauses that last for some time, with one timer for all of them. */
export class PauseWatch {
  readonly #timer: NodeJS.Timeout
  /** When the present pause began, in milliseconds of performance.now(); undefined: there is none. */
  #since: number | undefined

  /**
   * @param lastingMs milliseconds after which a pause counts, and between two looks
   * @param paused called at each look while a pause counts, until it returns true
   */
  constructor(lastingMs: number, paused: () => boolean) {
    this.#timer = setInterval(() => {
      if (this.#since !== undefined && performance.now() - this.#since >= lastingMs && paused()) this.close()
    }, lastingMs).unref()
  }

  /** A pause begins. */
  begin(): void {
    this.#since = performance.now()
  }

  /** The pause is over. */
  end(): void {
    this.#since = undefined
  }

  /** Ends the watch. */
  close(): void {
    clearInterval(this.#timer)
  }
}
