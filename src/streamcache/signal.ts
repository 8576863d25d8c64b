/** Lets any number of waiters sleep until the next notify(); they share one promise, so a wake-up costs one resolve. */
export class Signal {
  #next: Promise<void> | undefined
  #wake: (() => void) | undefined

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
