import { CircuitBreaker, type Attempt } from '../limits/circuit-breaker.js'
import { systemClock, type Clock } from '../limits/clock.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import { EngineAway, EngineSlow } from './engine-away.js'
import { EngineOpener } from './engine-opener.js'
import {
  TooManyFleetLeases,
  UnknownRecord,
  type Claim,
  type ClaimAnswer,
  type Epoch,
  type FillOutcome,
  type FleetEngine,
  type FleetLease,
  type HeldClaim,
  type Hint,
  type NewFleetLease,
} from './engine.js'

export interface EngineGateOptions {
  /** Opens the engine; tried again until it succeeds, so that a node starts without one. */
  readonly open: () => Promise<FleetEngine>
  readonly metrics: Pick<Metrics, 'fleetEngineUp' | 'fleetOperations'>
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly clock?: Clock
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: () => number
}

/** Milliseconds that an operation may take. */
const operationMs = 250
/** Failures in a row after which the engine is away; its waits between two probes are 650 to 1300 ms. */
const breaker = { failures: 3, baseMs: 1300, capMs: 1300, retryAfterMaxMs: 0, probeMs: 2 * operationMs }
/** Any name will do: a probe asks for the epoch of a repository that there is not. */
const probed = ['probe']

/**
 * Stands before an engine and makes it harmless (R11): an operation takes 250 ms at most; after three failures in a row the
 * engine is *away*, and operations reject at once, until one of the gate's own probes is answered. No caller ever waits for
 * a probe. It begins without an engine, which is opened in the background.
 */
export class EngineGate implements FleetEngine {
  readonly #options: EngineGateOptions
  readonly #clock: Clock
  readonly #breaker: CircuitBreaker
  readonly #opener: EngineOpener
  readonly #hinted = new Set<(hint: Hint) => void>()
  readonly #changed = new Set<(isUp: boolean) => void>()
  #engine: FleetEngine | undefined
  #unwatch: (() => void) | undefined
  /** Since when it has been away, in milliseconds of the clock; undefined: it is up, or has not been up yet. */
  #downSince: number | undefined
  #wasUp = false
  #error: unknown
  #cancelProbe: (() => void) | undefined
  #isClosed = false

  constructor(options: EngineGateOptions) {
    const { open, metrics, clock = systemClock, random = Math.random } = options
    this.#options = options
    this.#clock = clock
    this.#breaker = new CircuitBreaker({ ...breaker, clock, random, changed: () => this.#report() })
    this.#opener = new EngineOpener({
      ...{ open, clock, random },
      opened: (engine) => this.#use(engine),
      failed: (error) => this.#goDown(error),
    })
    metrics.fleetEngineUp.set(0)
    this.#opener.start()
  }

  /** Does the engine answer, so far as is known? */
  get isUp(): boolean {
    return this.#engine !== undefined && !this.#breaker.isOpen
  }

  /** Calls `listener` each time that the engine goes away or comes back. @returns stops it */
  onChanged(listener: (isUp: boolean) => void): () => void {
    this.#changed.add(listener)
    return () => void this.#changed.delete(listener)
  }

  claim(claim: Claim): Promise<ClaimAnswer> {
    return this.#run('claim', (engine) => engine.claim(claim), {
      // The caller has been told that it is alone, so nothing holds this lease.
      late: (engine, answer) => {
        if (answer.kind !== 'granted') return
        const { repository, key, node, ttlMs } = claim
        const held = { repository, key, node, ttlMs, token: answer.token }
        engine.publish(held, { kind: 'nothing' }).catch(() => {})
      },
    })
  }

  renew(held: HeldClaim): Promise<boolean> {
    return this.#run('renew', (engine) => engine.renew(held))
  }

  publish(held: HeldClaim, outcome: FillOutcome): Promise<boolean> {
    return this.#run('publish', (engine) => engine.publish(held, outcome))
  }

  epochs(repositories: readonly string[]): Promise<Epoch[]> {
    return this.#run('epochs', (engine) => engine.epochs(repositories))
  }

  change(repository: string): Promise<void> {
    return this.#run('change', (engine) => engine.change(repository))
  }

  openLease(lease: NewFleetLease, leftMs?: number): Promise<void> {
    return this.#run('openLease', (engine) => engine.openLease(lease, leftMs))
  }

  renewLease(id: string, ttlMs?: number): Promise<FleetLease | undefined> {
    return this.#run('renewLease', (engine) => engine.renewLease(id, ttlMs))
  }

  endLease(id: string, end: 'changed' | 'unchanged'): Promise<FleetLease | undefined> {
    return this.#run('endLease', (engine) => engine.endLease(id, end))
  }

  leases(): Promise<FleetLease[]> {
    return this.#run('leases', (engine) => engine.leases())
  }

  beat(node: string, ttlMs: number): Promise<string[]> {
    return this.#run('beat', (engine) => engine.beat(node, ttlMs))
  }

  leave(node: string): Promise<void> {
    return this.#run('leave', (engine) => engine.leave(node))
  }

  /** As FleetEngine.watch, also before the engine has been opened. */
  watch(listener: (hint: Hint) => void): () => void {
    // A listener that is given twice is called twice.
    const own = (hint: Hint): void => listener(hint)
    this.#hinted.add(own)
    return () => void this.#hinted.delete(own)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#opener.close()
    this.#cancelProbe?.()
    this.#unwatch?.()
    const engine = this.#engine
    this.#engine = undefined
    await engine?.close()
  }

  async #run<T>(
    operation: string,
    call: (engine: FleetEngine) => Promise<T>,
    { late, isProbe = false }: { late?: (engine: FleetEngine, answer: T) => void; isProbe?: boolean } = {},
  ): Promise<T> {
    const count = (result: string): void => this.#options.metrics.fleetOperations.inc({ operation, result })
    const engine = this.#engine
    if (!engine || (this.#breaker.isOpen && !isProbe)) {
      count('skipped')
      throw new EngineAway(this.#error)
    }
    const attempt = this.#breaker.begin()
    let isLate = false
    const ask = async (): Promise<T> => {
      const answer = await call(engine)
      if (isLate) late?.(engine, answer)
      return answer
    }
    try {
      const answer = await this.#inTime(ask(), () => (isLate = true))
      count('ok')
      attempt.succeeded()
      return answer
    } catch (error) {
      count(this.#judge(attempt, error))
      throw error
    }
  }

  /** Reports a failed operation to the breaker. @returns the result as the metric names it */
  #judge(attempt: Attempt, error: unknown): string {
    if (error instanceof TooManyFleetLeases || error instanceof UnknownRecord) {
      attempt.succeeded()
      return error instanceof UnknownRecord ? 'failed' : 'ok'
    }
    this.#error = error
    if (!this.#isClosed) attempt.failed(error)
    return error instanceof EngineSlow ? 'timeout' : 'failed'
  }

  /** @throws EngineSlow if there is no answer in time, also after a pause of this process */
  #inTime<T>(answered: Promise<T>, overdue: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        overdue()
        reject(new EngineSlow(operationMs))
      }
      let cancel = this.#clock.after(operationMs, () => {
        // An answer that has arrived while this process was busy is read before the second timer fires.
        cancel = this.#clock.after(0, giveUp)
      })
      answered.then(resolve, reject).finally(() => cancel())
    })
  }

  #use(engine: FleetEngine): void {
    this.#engine = engine
    this.#unwatch = engine.watch((hint) => {
      for (const listener of [...this.#hinted]) listener(hint)
    })
    this.#report()
  }

  /** Notes whether the engine is up, and has it probed if not. */
  #report(): void {
    if (!this.isUp) {
      this.#goDown(this.#error)
      return this.#probeLater()
    }
    const { metrics, log } = this.#options
    metrics.fleetEngineUp.set(1)
    if (this.#downSince !== undefined) {
      const seconds = Math.round(this.#clock.now() - this.#downSince) / 1000
      log.info({ seconds }, 'the engine of the fleet answers again')
    }
    this.#downSince = undefined
    this.#wasUp = true
    for (const listener of [...this.#changed]) listener(true)
  }

  #goDown(error: unknown): void {
    this.#error = error
    if (this.#downSince !== undefined || this.#isClosed) return
    this.#downSince = this.#clock.now()
    this.#options.metrics.fleetEngineUp.set(0)
    this.#options.log.warn(
      { err: error },
      'the engine of the fleet does not answer; this node works alone until it does',
    )
    if (!this.#wasUp) return
    for (const listener of [...this.#changed]) listener(false)
  }

  #probeLater(): void {
    this.#cancelProbe?.()
    if (this.#isClosed || !this.#breaker.isOpen) return
    const waitMs = this.#breaker.blocked()?.retryAfterMs ?? 0
    this.#cancelProbe = this.#clock.after(waitMs, () => void this.#probe())
  }

  async #probe(): Promise<void> {
    try {
      await this.#run('epochs', (engine) => engine.epochs(probed), { isProbe: true })
    } catch {
      this.#probeLater()
    }
  }
}
