import type { Clock } from '../../limits/clock.js'
import type { FleetEngine } from '../engine.js'
import type { DigestedKey } from '../names.js'
import { idOf } from './claims.js'

/** Waits for news of one key. */
export interface Waiter {
  /**
   * Resolves with the next hint about the key, at once if there was one since the last call; or after that many milliseconds,
   * since hints may be lost. Rejects with the signal's reason.
   */
  next(ms: number, signal: AbortSignal): Promise<void>
  /** To be called when nothing waits any more. */
  close(): void
}

/** Those who wait for other nodes, woken by the engine's hints. */
export class Waiters {
  readonly #clock: Clock
  readonly #wakes = new Map<string, Set<() => void>>()
  readonly #stop: () => void

  constructor(engine: Pick<FleetEngine, 'watch'>, clock: Clock) {
    this.#clock = clock
    this.#stop = engine.watch((hint) => {
      if (hint.kind !== 'key') return
      for (const wake of [...(this.#wakes.get(idOf(hint)) ?? [])]) wake()
    })
  }

  /** Listens from now on. */
  listen(key: DigestedKey): Waiter {
    const id = idOf(key)
    let isTold = false
    let resolve = (): void => {}
    const wake = (): void => {
      isTold = true
      resolve()
    }
    const wakes = this.#wakes.get(id) ?? new Set()
    this.#wakes.set(id, wakes.add(wake))
    return {
      next: async (ms, signal) => {
        if (!isTold) await this.#wait(ms, signal, (call) => (resolve = call))
        isTold = false
        signal.throwIfAborted()
      },
      close: () => {
        wakes.delete(wake)
        if (wakes.size === 0 && this.#wakes.get(id) === wakes) this.#wakes.delete(id)
      },
    }
  }

  #wait(ms: number, signal: AbortSignal, started: (resolve: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, () => end())
      const end = (): void => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      started(end)
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { once: true })
    })
  }

  /** Keys that are waited for. */
  get size(): number {
    return this.#wakes.size
  }

  close(): void {
    this.#stop()
  }
}
