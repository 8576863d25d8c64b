import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { LingeringMap } from '../limits/lingering-map.js'

/** What is going on at one path. */
interface Observing<T> {
  /** The observation that runs. */
  running: Promise<T> | undefined
  /** The one that was asked for and has not begun. */
  pending: Promise<T> | undefined
}

/**
 * Coalesces the observations of a path (R2): one observation serves all requests that arrived before it began, and a
 * request that arrives while one runs shares the next one. So a burst costs one observation at a time, and every answer is
 * based on an observation that began after its request arrived.
 */
export class CoalescedObservations<T> {
  readonly #observe: (path: string) => Promise<T>
  readonly #paths = new LingeringMap<string, Observing<T>>(isIdle)

  constructor(observe: (path: string) => Promise<T>) {
    this.#observe = observe
  }

  /** Resolves with the result of an observation that begins after this call. */
  observe(path: string): Promise<T> {
    const at = this.#at(path)
    if (at.pending) return at.pending
    // All requests that arrive in the same iteration of the event loop share one observation.
    const free: Promise<unknown> = at.running ?? yieldToEventLoop()
    const begin = (): Promise<T> => this.#begin(path, at)
    at.pending = free.then(begin, begin)
    return at.pending
  }

  #at(path: string): Observing<T> {
    let at = this.#paths.get(path)
    if (!at) {
      at = { running: undefined, pending: undefined }
      this.#paths.set(path, at)
    }
    return at
  }

  #begin(path: string, at: Observing<T>): Promise<T> {
    at.pending = undefined
    const running = this.#observe(path)
    at.running = running
    const ended = (): void => {
      if (at.running === running) at.running = undefined
    }
    // Before what follows the observation: then the next one is free to begin.
    running.then(ended, ended)
    return running
  }
}

const isIdle = ({ running, pending }: Observing<unknown>): boolean => !running && !pending
