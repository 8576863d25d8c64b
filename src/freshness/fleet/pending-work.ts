import type { Clock } from '../../limits/clock.js'

/** Most things that are kept to be told to the engine later; of more, the oldest are given up. */
const pendingMax = 20_000
/** Milliseconds between two tries to tell the engine, if nothing else asks it. */
const retryMs = 1000

/** What the engine is to be told as soon as it answers again, in order. */
export class PendingWork {
  readonly #clock: Clock
  readonly #retry: () => Promise<void>
  readonly #pending = new Map<string, () => Promise<unknown>>()
  #cancel: (() => void) | undefined
  #isClosed = false

  /** @param retry has `run` called; never rejects */
  constructor(clock: Clock, retry: () => Promise<void>) {
    this.#clock = clock
    this.#retry = retry
  }

  /** Adds work, in place of earlier work of that name. */
  add(name: string, work: () => Promise<unknown>): void {
    this.#pending.delete(name)
    this.#pending.set(name, work)
    const [oldest] = this.#pending.keys()
    if (this.#pending.size > pendingMax && oldest !== undefined) this.#pending.delete(oldest)
    this.#retryLater()
  }

  remove(name: string): void {
    this.#pending.delete(name)
  }

  /** Does all that is to be done. @throws what the first failure throws; the rest stays to be done */
  async run(): Promise<void> {
    for (const [name, work] of this.#pending) {
      await work()
      if (this.#pending.get(name) === work) this.#pending.delete(name)
    }
  }

  #retryLater(): void {
    if (this.#isClosed) return
    this.#cancel ??= this.#clock.after(retryMs, () => {
      void this.#retry().then(() => {
        this.#cancel = undefined
        if (this.#pending.size > 0) this.#retryLater()
      })
    })
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
  }
}
