import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/**
 * Coalesces the observations of a path (R2): one observation serves all requests that arrived before it began, and a
 * request that arrives while one runs shares the next one. So a burst costs one observation at a time, and every answer is
 * based on an observation that began after its request arrived.
 */
export class CoalescedObservations<T> {
  readonly #observe: (path: string) => Promise<T>
  /** Observations that run, and those that were asked for and have not begun. */
  readonly #running = new Map<string, Promise<unknown>>()
  readonly #pending = new Map<string, Promise<T>>()

  constructor(observe: (path: string) => Promise<T>) {
    this.#observe = observe
  }

  /** Resolves with the result of an observation that begins after this call. */
  observe(path: string): Promise<T> {
    const pending = this.#pending.get(path)
    if (pending) return pending
    // All requests that arrive in the same iteration of the event loop share one observation.
    const free = this.#running.get(path) ?? yieldToEventLoop()
    const next = free.then(
      () => this.#begin(path),
      () => this.#begin(path),
    )
    this.#pending.set(path, next)
    return next
  }

  #begin(path: string): Promise<T> {
    this.#pending.delete(path)
    const running = this.#observe(path).finally(() => {
      if (this.#running.get(path) === running) this.#running.delete(path)
    })
    this.#running.set(path, running)
    return running
  }
}
