import { LRUCache } from 'lru-cache'
import type { Clock } from '../../limits/clock.js'

export interface OwedRefreshesOptions {
  readonly clock: Clock
  /** Returns numbers from 0 up to, but without, 1. */
  readonly random: () => number
  /** Begins a refresh of a key if one is owed, and resolves at its end; never rejects. undefined: nothing was begun. */
  readonly refresh: (key: string) => Promise<void> | undefined
  /** Called with a key that will not be refreshed, because too many are planned. */
  readonly dropped: (key: string) => void
}

/** A key that is refreshed at its time, if that is owed then. */
interface Planned {
  readonly subject: string
  /** When, in milliseconds of the clock; undefined: its time has passed, and only a change of its subject gives it another. */
  dueAtMs: number | undefined
  /** Cancels the timer. */
  cancel: () => void
}

/** Most refreshes that run at once. */
const runningMax = 8
/** Most keys that are planned; of more, those that were planned longest ago are not refreshed. */
const plannedMax = 10_000
/** The part of an entry's longest age after which it is refreshed: from `earliest` to 1. */
const earliest = 0.8
/** Milliseconds over which the refreshes after a change are spread. */
const changeJitterMs = 2000

/**
 * When entries are refreshed ahead of their expiry. It decides the time only: whether a refresh is owed is asked at that
 * time (`refresh`). Times are jittered, and at most 8 refreshes run at once; further ones wait for these.
 */
export class OwedRefreshes {
  readonly #options: OwedRefreshesOptions
  readonly #planned = new LRUCache<string, Planned>({
    max: plannedMax,
    dispose: (planned, key, reason) => {
      this.#drop(key, planned)
      if (reason === 'evict') this.#options.dropped(key)
    },
  })
  /** The planned keys of each subject. */
  readonly #keysOf = new Map<string, Set<string>>()
  /** Keys whose time has come while `runningMax` refreshes ran, in order. */
  readonly #waiting = new Set<string>()
  #running = 0
  #closed = false

  constructor(options: OwedRefreshesOptions) {
    this.#options = options
  }

  /** Plans the refresh of an entry, in place of an earlier plan for its key. @param startedAtMs when its age began */
  plan(key: string, subject: string, startedAtMs: number, maxAgeMs: number): void {
    this.#planned.delete(key)
    if (this.#closed || maxAgeMs <= 0) return
    const planned: Planned = { subject, dueAtMs: undefined, cancel: () => {} }
    this.#planned.set(key, planned)
    const keys = this.#keysOf.get(subject)
    if (keys) keys.add(key)
    else this.#keysOf.set(subject, new Set([key]))
    this.#schedule(
      key,
      planned,
      startedAtMs + maxAgeMs * (earliest + (1 - earliest) * this.#options.random()),
    )
  }

  /** Plans the refreshes of a subject's keys anew: soon, unless their time is sooner. */
  hasten(subject: string): void {
    const now = this.#options.clock.now()
    for (const key of this.#keysOf.get(subject) ?? []) {
      const planned = this.#waiting.has(key) ? undefined : this.#planned.peek(key)
      const dueAtMs = now + changeJitterMs * this.#options.random()
      if (planned && dueAtMs < (planned.dueAtMs ?? Infinity)) this.#schedule(key, planned, dueAtMs)
    }
  }

  #schedule(key: string, planned: Planned, dueAtMs: number): void {
    const { clock } = this.#options
    planned.cancel()
    planned.dueAtMs = dueAtMs
    planned.cancel = clock.after(Math.max(0, dueAtMs - clock.now()), () => {
      planned.dueAtMs = undefined
      this.#waiting.add(key)
      this.#runWaiting()
    })
  }

  #runWaiting(): void {
    for (const key of this.#waiting) {
      if (this.#running >= runningMax) return
      this.#waiting.delete(key)
      const ended = this.#options.refresh(key)
      if (!ended) continue
      this.#running++
      void ended.then(() => {
        this.#running--
        this.#runWaiting()
      })
    }
  }

  /** Returns whether a key may yet be refreshed. */
  has(key: string): boolean {
    return this.#planned.has(key)
  }

  /** Cancels what is planned for a key. */
  cancel(key: string): void {
    this.#planned.delete(key)
  }

  #drop(key: string, { subject, cancel }: Planned): void {
    cancel()
    this.#waiting.delete(key)
    const keys = this.#keysOf.get(subject)
    keys?.delete(key)
    if (keys?.size === 0) this.#keysOf.delete(subject)
  }

  /** Cancels all timers; nothing is planned any more. */
  close(): void {
    this.#closed = true
    this.#planned.clear()
  }
}
