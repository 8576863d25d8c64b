import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * One look serves everybody who asked before it began (R2.1): whoever asks while a look is under way shares the next
 * one. So a storm costs one look at a time, and every answer rests on a look that began after its request arrived.
 */
export class CoalescedObservations<T> {
  readonly #observe: (path: string) => Promise<T>
  /** Looks under way, and those that have been asked for but have not begun. */
  readonly #running = new Map<string, Promise<unknown>>()
  readonly #waiting = new Map<string, Promise<T>>()

  constructor(look: (path: string) => Promise<T>) {
    this.#observe = look
  }

  observe(path: string): Promise<T> {
    const waiting = this.#waiting.get(path)
    if (waiting) return waiting
    // A turn of the event loop lets all requests that have arrived together share a look.
    const free = this.#running.get(path) ?? nextTurn()
    const next = free.then(
      () => this.#begin(path),
      () => this.#begin(path),
    )
    this.#waiting.set(path, next)
    return next
  }

  #begin(path: string): Promise<T> {
    this.#waiting.delete(path)
    const running = this.#observe(path).finally(() => {
      if (this.#running.get(path) === running) this.#running.delete(path)
    })
    this.#running.set(path, running)
    return running
  }
}
