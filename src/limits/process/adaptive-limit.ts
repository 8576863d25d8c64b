import { LRUCache } from 'lru-cache'
import { systemClock, type Clock } from '../clock.js'
import type { Pressure } from './pressure.js'
import type { ProcessLimiter } from './process-limiter.js'

/**
 * Why a limit was changed. `demand`: a request waited; `slow`: fills had become slow; the others: the kernel's figures for
 * pressure.
 */
export type AdaptiveLimitCause = 'demand' | 'slow' | keyof Pressure

export interface AdaptiveLimitOptions {
  readonly limiter: Pick<ProcessLimiter, 'limit' | 'scarce' | 'running'>
  /** Bounds of the limit. As many processes as the floor allows must be harmless at any time. */
  readonly floor: number
  readonly ceiling: number
  readonly readPressure: () => Promise<Pressure>
  /** Milliseconds between two decisions. */
  readonly periodMs: number
  readonly clock?: Clock
  readonly changed?: (cause: AdaptiveLimitCause, limit: number) => void
}

/** The figures from which on the limit does not grow, and from which on it is halved. */
const bounds: readonly [keyof Pressure, hold: number, cut: number][] = [
  // Where all CPUs are well used, some process waits for one nearly all the time; only all the time is too much.
  ['cpu', 70, 95],
  ['memory', 10, 25],
  ['io', 60, 90],
  ['memoryUsed', 0.8, 0.9],
]

/** Fills in one sample, and how many times as long as their baseline they must take on average to count as slow. */
const sampleSize = 16
const slowFactor = 2
/** Weight of the latest fill in the baseline of its group. */
const gain = 1 / 8
/** Most groups whose baseline is remembered (LRU). */
const groupsMax = 1000
/** Milliseconds after a decrease in which it takes effect: the averages of PSI cover ten seconds. */
const restMs = 10_000

/**
 * Adapts the limit of permits to what the machine can take, by AIMD (additive increase, multiplicative decrease, as TCP
 * does): one more per period while a request waits and all is well, half as many when it is not. Under overload requests
 * are shed from the queue, and what runs ends in good time.
 *
 * *Slow* is a fill that takes much longer than others of its group did under light load. Each group is compared with
 * itself, since long fills of a large repository are no sign of overload. The baseline is learned only while no more
 * processes run than the floor allows: otherwise a limit that grows step by step would make each step look normal.
 * Logarithms are averaged, so that a single fill that hangs has little weight.
 *
 * *Pressure* also shows what fills do not: clones that use up the memory, or another program that uses the disk.
 */
export class AdaptiveLimit {
  readonly #options: AdaptiveLimitOptions
  readonly #clock: Clock
  /** By group, the logarithm of the milliseconds that a fill takes under light load. */
  readonly #baselines = new LRUCache<string, number>({ max: groupsMax })
  /** Fills in the present sample, and the sum of the logarithms of time over baseline. */
  #count = 0
  #excess = 0
  #restUntil = -Infinity

  constructor(options: AdaptiveLimitOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /**
   * Records that a fill of a group has succeeded, and how many milliseconds after the start of its process. Call this
   * before its permit is released. Packs are not recorded: how long one takes depends on what its client has already.
   */
  recordFill(group: string, ms: number): void {
    const { limiter, floor } = this.#options
    const time = Math.log(Math.max(ms, 1))
    const baseline = this.#baselines.get(group)
    const lightLoad = limiter.running() <= floor
    if (baseline === undefined || lightLoad)
      this.#baselines.set(group, baseline === undefined ? time : baseline + gain * (time - baseline))
    if (baseline === undefined) return
    this.#count++
    this.#excess += time - baseline
  }

  /** Starts to adapt the limit. @returns stops it */
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
      // Fills that end now started before the decrease.
      this.#count = this.#excess = 0
      return
    }
    const slow = this.#isSlow()
    const over = (bound: 1 | 2): keyof Pressure | undefined =>
      bounds.find((each) => (pressure[each[0]] ?? 0) >= each[bound])?.[0]
    const cause = over(2) ?? (slow ? 'slow' : undefined)
    if (cause) {
      this.#restUntil = now + restMs
      this.#set(cause, Math.max(floor, Math.floor(limiter.limit / 2)))
    } else if (limiter.scarce && !over(1)) this.#set('demand', Math.min(ceiling, limiter.limit + 1))
  }

  /** Were the fills of the present sample slow? Starts a new sample if this one is large enough. */
  #isSlow(): boolean {
    if (this.#count < sampleSize) return false
    const slow = this.#excess / this.#count > Math.log(slowFactor)
    this.#count = this.#excess = 0
    return slow
  }

  #set(cause: AdaptiveLimitCause, limit: number): void {
    const { limiter, changed } = this.#options
    if (limit === limiter.limit) return
    limiter.limit = limit
    changed?.(cause, limit)
  }
}
