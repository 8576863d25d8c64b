/** Lets any number of waiters sleep until the next notify(). They share one promise: a notify() resolves only one. */
export class Signal {
  #next: Promise<void> | undefined
  #wake: (() => void) | undefined

  /** Resolves at the next notify(). */
  wait(): Promise<void> {
    this.#next ??= new Promise((resolve) => (this.#wake = resolve))
    return this.#next
  }

  notify(): void {
    this.#wake?.()
    this.#next = undefined
    this.#wake = undefined
  }
}
