import { LRUCache } from 'lru-cache'
import { systemClock, type Clock } from '../clock.js'
import type { Pressure } from './pressure.js'
import type { ProcessLimiter } from './process-limiter.js'

/** Why a total was changed: somebody waited; fills had become slow; the kernel saw work held up. */
export type AdaptiveLimitCause = 'demand' | 'slow' | keyof Pressure

export interface AdaptiveLimitOptions {
  readonly limiter: Pick<ProcessLimiter, 'total' | 'scarce' | 'running'>
  /** The total never leaves these bounds. What runs at once at the floor is harmless at any time. */
  readonly floor: number
  readonly ceiling: number
  readonly readPressure: () => Promise<Pressure>
  /** Milliseconds between two decisions. */
  readonly periodMs: number
  readonly clock?: Clock
  readonly changed?: (cause: AdaptiveLimitCause, total: number) => void
}

/** From which figures on a total does not grow, and from which it is halved. */
const bounds: readonly [keyof Pressure, hold: number, cut: number][] = [
  // Somebody nearly always waits for a CPU where all are in good use; only `always` is too much.
  ['cpu', 70, 95],
  ['memory', 10, 25],
  ['io', 60, 90],
  ['memoryUsed', 0.8, 0.9],
]

/** Fills that are judged together, and how many times as long as usual they must take to be slow. */
const judged = 16
const slowFactor = 2
/** Weight of the latest fill in what is usual for its group. */
const gain = 1 / 8
/** Groups of which it is known how long their fills take. */
const groupsMax = 1000
/** Milliseconds after a cut in which it is left to take effect: psi's averages go back ten seconds. */
const restMs = 10_000

/**
 * Moves the total of slots to what the machine can take: one more per period while somebody waits for a slot and all is
 * well, half as many when it is not (additive increase, multiplicative decrease, as TCP finds its rate). Under overload
 * the queue is shed, and what runs ends in good time.
 *
 * *Slow* is a fill that takes much longer than others of its group did while little ran. Groups are compared each with
 * itself, for a large repository's fills are no sign of trouble. What is usual is learned only while no more runs than
 * the floor allows: if it were learned at any time, a total that grows step by step would make each step look usual.
 * Logarithms are averaged, so that one fill that hangs does not speak for all.
 *
 * *Pressure* also sees what fills do not: clones that take the memory, or a neighbour that takes the disk.
 */
export class AdaptiveLimit {
  readonly #options: AdaptiveLimitOptions
  readonly #clock: Clock
  /** By group, the logarithm of the usual milliseconds. */
  readonly #usual = new LRUCache<string, number>({ max: groupsMax })
  #count = 0
  #excess = 0
  #restUntil = -Infinity

  constructor(options: AdaptiveLimitOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** A fill of that group has ended well, so many milliseconds after its process was started. Call before its release. */
  took(group: string, ms: number): void {
    const { limiter, floor } = this.#options
    const time = Math.log(Math.max(ms, 1))
    const usual = this.#usual.get(group)
    const light = limiter.running('fill') + limiter.running('pass') <= floor
    if (usual === undefined || light)
      this.#usual.set(group, usual === undefined ? time : usual + gain * (time - usual))
    if (usual === undefined) return
    this.#count++
    this.#excess += time - usual
  }

  /** @returns what ends it */
  start(): () => void {
    const { periodMs, readPressure } = this.#options
    let stopped = false
    let stopTimer: () => void
    const tick = async (): Promise<void> => {
      const pressure = await readPressure().catch((): Pressure => ({}))
      if (stopped) return
      this.#decide(pressure)
      arm()
    }
    const arm = (): void => {
      stopTimer = this.#clock.after(periodMs, () => void tick())
    }
    arm()
    return () => {
      stopped = true
      stopTimer()
    }
  }

  #decide(pressure: Pressure): void {
    const { limiter, floor, ceiling } = this.#options
    const now = this.#clock.now()
    if (now < this.#restUntil) {
      // What ends now began before the cut.
      this.#count = this.#excess = 0
      return
    }
    const slow = this.#isSlow()
    const over = (bound: 1 | 2): keyof Pressure | undefined =>
      bounds.find((each) => (pressure[each[0]] ?? 0) >= each[bound])?.[0]
    const cause = over(2) ?? (slow ? 'slow' : undefined)
    if (cause) {
      this.#restUntil = now + restMs
      this.#set(cause, Math.max(floor, Math.floor(limiter.total / 2)))
    } else if (limiter.scarce && !over(1)) this.#set('demand', Math.min(ceiling, limiter.total + 1))
  }

  /** Begins to count anew whenever enough fills are counted to tell. */
  #isSlow(): boolean {
    if (this.#count < judged) return false
    const slow = this.#excess / this.#count > Math.log(slowFactor)
    this.#count = this.#excess = 0
    return slow
  }

  #set(cause: AdaptiveLimitCause, total: number): void {
    const { limiter, changed } = this.#options
    if (total === limiter.total) return
    limiter.total = total
    changed?.(cause, total)
  }
}
