import { AdaptiveLimit, type AdaptiveLimitCause } from '../../src/limits/process/adaptive-limit.js'
import type { Pressure } from '../../src/limits/process/pressure.js'
import { ProcessLimiter } from '../../src/limits/process/process-limiter.js'
import { FakeClock } from './fake-clock.js'
import { turns } from './producers.js'

interface Running {
  readonly group: string
  readonly began: number
  /** Milliseconds of CPU time that it still needs. */
  left: number
  readonly release: () => void
}

const stepMs = 50
const workMs = 100

/**
 * A host that runs fills of 100 ms on a number of cores, shared evenly. If more run than fit into its memory, all slow down
 * further: with twice as many, a quarter of the work is done.
 */
export class SimulatedHost {
  cores = 2
  fitting = 8
  /** Fills that ended so far. */
  done = 0
  readonly clock = new FakeClock()
  readonly limiter: ProcessLimiter
  readonly causes: AdaptiveLimitCause[] = []
  readonly #adaptive: AdaptiveLimit | undefined
  readonly #running = new Set<Running>()
  #arrived = 0
  #due = 0
  #pressure = 0

  /** @param sees what the adaptive limit is told; undefined: the limit is fixed */
  constructor(limit: number, sees?: 'durations' | 'pressure') {
    const limits = { perGroup: 100, queueMax: 100, waitMs: 5000 }
    this.limiter = new ProcessLimiter({
      limit: limit,
      fill: limits,
      pack: { ...limits, most: 2 },
      pass: limits,
      clock: this.clock,
      random: () => 0,
    })
    if (!sees) return
    const adaptive = new AdaptiveLimit({
      limiter: this.limiter,
      floor: 4,
      ceiling: limit,
      periodMs: 2000,
      clock: this.clock,
      readPressure: async (): Promise<Pressure> => (sees === 'pressure' ? { memory: this.#pressure } : {}),
      changed: (cause) => this.causes.push(cause),
    })
    if (sees === 'durations') this.#adaptive = adaptive
    adaptive.start()
  }

  /** Lets time pass while that many fills per second are requested. @returns how many ended per second */
  async pass(seconds: number, perSecond: number): Promise<number> {
    const doneBefore = this.done
    for (let ms = 0; ms < seconds * 1000; ms += stepMs) {
      this.#due += (perSecond * stepMs) / 1000
      for (; this.#due >= 1; this.#due--) this.#arrive()
      this.clock.advance(stepMs)
      this.#work()
      await turns(1)
    }
    return (this.done - doneBefore) / seconds
  }

  #arrive(): void {
    const group = String(this.#arrived++ % 20)
    this.limiter.acquire({ class: 'fill', group }).then(
      ({ release }) => this.#running.add({ group, began: this.clock.now(), left: workMs, release }),
      () => {},
    )
  }

  #work(): void {
    const count = this.#running.size
    const efficiency = Math.min(1, this.fitting / count) ** 2
    // Approximately as PSI does: an average over about ten seconds.
    this.#pressure += (stepMs / 10_000) * (100 * (1 - efficiency) - this.#pressure)
    const share = stepMs * Math.min(1, this.cores / count) * efficiency
    for (const fill of this.#running) {
      fill.left -= share
      if (fill.left > 0) continue
      this.#running.delete(fill)
      this.done++
      this.#adaptive?.recordFill(fill.group, this.clock.now() - fill.began)
      fill.release()
    }
  }
}
