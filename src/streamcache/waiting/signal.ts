import { callAfter } from './timer.js'

/** Lets any number of waiters sleep until the next notify(). They share one promise: a notify() resolves only one. */
export class Signal {
  #next: Promise<void> | undefined
  #wake: (() => void) | undefined

  /**
   * Resolves at the next notify().
   * @param mostMs milliseconds after which it notifies by itself; left out: never
   */
  wait(mostMs?: number): Promise<void> {
    this.#next ??= new Promise((resolve) => (this.#wake = resolve))
    return mostMs === undefined ? this.#next : this.#next.finally(callAfter(mostMs, () => this.notify()))
  }

  notify(): void {
    this.#wake?.()
    this.#next = undefined
    this.#wake = undefined
  }
}
