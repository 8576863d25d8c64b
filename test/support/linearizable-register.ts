import type { FillRequest } from '../../src/freshness/fill-request.js'
import type { FreshCache } from '../../src/freshness/fresh-cache.js'
import type { ObservedState } from '../../src/freshness/observed-state.js'
import { CoalescedObservations } from '../../src/freshness/coalesced-observations.js'
import { collect, turns } from './producers.js'

/** What may happen to a register and to its readers. */
export type Step =
  | {
      do: 'ask' | 'write' | 'lease' | 'release' | 'touch' | 'age' | 'revert' | 'failFill' | 'failObservation'
    }
  | { do: 'turn'; count: number }

/** Ways to violate the rules, each of which must be detected. */
export type Fault = 'stale observations' | 'ignores leases'

/** A past or present state, and the moments at which it began and ended. */
interface Era {
  readonly value: number
  readonly token: string
  /** Could an observation name it? Not under a lease, and not while another value may follow under the same token. */
  settled: boolean
  readonly from: number
  until: number
}

/**
 * A value that changes, and a token that follows it as refs on disk are followed: under a lease, and while timestamps
 * are too young, the value changes without the token, and an observation is *unsettled*. Each read checks its answer: the
 * value must have been current at some moment between the read's begin and its end.
 */
export class LinearizableRegister {
  /** The present moment; each event has its own. */
  #now = 0
  #value = 0
  #token = 0
  #leased = false
  #young = false
  readonly #eras: Era[] = [{ value: 0, token: 'state 0', settled: true, from: 0, until: Infinity }]
  #failFill = false
  #failObservation = false
  /** Producers running now. */
  #running = 0
  /** Fills that have not ended: they run, or wait for confirmation. */
  readonly #filling = new Set<Promise<unknown>>()
  /** The greatest value in any answer so far. */
  #newest = 0
  #reverted = false
  #lastObserved: ObservedState | undefined
  readonly #asked: Promise<unknown>[] = []
  /** The first violation. */
  #violation: unknown
  readonly results: string[] = []
  readonly reuses: string[] = []
  readonly #fresh: FreshCache
  readonly #observations: CoalescedObservations<ObservedState>
  readonly #delay: () => Promise<void>
  readonly #fault: Fault | undefined

  /** @param delays how many turns of the event loop each observation and each part of a fill takes */
  constructor(fresh: FreshCache, delays: Iterator<number>, fault?: Fault) {
    this.#fresh = fresh
    this.#delay = () => turns(delays.next().value as number)
    this.#fault = fault
    this.#observations = new CoalescedObservations(() => this.#observe())
  }

  async take(step: Step): Promise<void> {
    this.#now++
    switch (step.do) {
      case 'turn':
        return turns(step.count)
      case 'ask':
        this.#asked.push(this.#ask().catch((error: unknown) => (this.#violation ??= error)))
        return
      case 'write':
        return this.#change(this.#value + 1, !this.#leased && !this.#young)
      case 'lease':
        this.#leased = true
        return
      case 'release':
        if (!this.#leased) return
        this.#leased = false
        return this.#change(this.#value, true)
      case 'touch': // A change so recent that another may follow under the same timestamp.
        if (this.#leased || this.#young) return
        this.#young = true
        return this.#change(this.#value + 1, true)
      case 'age':
        this.#young = false
        this.#eras.at(-1)!.settled ||= !this.#leased
        return
      case 'revert':
        return this.#revert()
      case 'failFill':
        this.#failFill = true
        return
      case 'failObservation':
        this.#failObservation = true
    }
  }

  #change(value: number, moveToken: boolean): void {
    if (moveToken) this.#token = this.#eras.length
    this.#enter(value, `state ${this.#token}`)
  }

  #enter(value: number, token: string): void {
    this.#value = value
    this.#eras.at(-1)!.until = ++this.#now
    const settled = !this.#leased && !this.#young
    this.#eras.push({ value, token, settled, from: this.#now, until: Infinity })
  }

  /**
   * Goes back to an earlier state, token included. A token must not do that: equal tokens promise that nothing changed
   * between two observations, and here something may have. So it is done only while no fill is between its two.
   */
  #revert(): void {
    const before = this.#eras.findLast((era) => era.settled && era.token !== this.#eras.at(-1)!.token)
    if (!before || this.#filling.size > 0 || this.#leased || this.#young) return
    this.#reverted = true
    this.#enter(before.value, before.token)
  }

  async #observe(): Promise<ObservedState> {
    await this.#delay()
    const fail = this.#failObservation
    this.#failObservation = false
    if (fail) throw new Error('cannot observe')
    const { token } = this.#eras.at(-1)!
    const unsettledMs = this.#fault === 'ignores leases' ? 0 : this.#leased ? 1e9 : this.#young ? 1 : 0
    this.#lastObserved = { token, unsettledMs, generation: 0, openings: 0, maxAgeMs: Infinity }
    await this.#delay()
    return { ...this.#lastObserved, token, unsettledMs }
  }

  readonly #request: FillRequest = {
    observe: () => this.#observations.observe('register'),
    producer: () => () => this.#fill(),
    fillStarted: (_entry, _state, ended) => {
      this.#filling.add(ended)
      void ended.then((result) => {
        this.#filling.delete(ended)
        this.results.push(result)
      })
    },
  }

  async *#fill(): AsyncGenerator<Buffer> {
    if (++this.#running > 1) throw new Violation('two fills run at once')
    const fail = this.#failFill
    this.#failFill = false
    try {
      await this.#delay()
      yield Buffer.from('value ')
      await this.#delay()
      if (fail) throw new Error('the fill failed')
      yield Buffer.from(String(this.#value))
      await this.#delay()
      yield Buffer.from('\n')
    } finally {
      this.#running--
    }
  }

  async #ask(): Promise<void> {
    const asked = ++this.#now
    const newest = this.#newest
    let text: string
    try {
      const stale = this.#fault === 'stale observations' ? this.#lastObserved : undefined
      const state = stale ?? (await this.#request.observe())
      const { follower, reuse } = await this.#fresh.read('register', state, () => this.#request)
      this.reuses.push(reuse)
      text = (await collect(follower)).toString()
    } catch (error) {
      if (error instanceof Error && /^(cannot observe|the fill failed)$/.test(error.message)) return
      throw error
    }
    this.#check(text, asked, newest)
  }

  #check(text: string, asked: number, newest: number): void {
    const answered = ++this.#now
    const value = Number(/^value (\d+)\n$/.exec(text)?.[1])
    const current = this.#eras.some((era) => era.value === value && era.until > asked && era.from < answered)
    if (!current) throw new Violation(`stale: ${text.trim()}, asked at ${asked}, answered at ${answered}`)
    // `newest` is from reads that had ended when this one began.
    if (!this.#reverted && value < newest) throw new Violation(`back from ${newest} to ${value}`)
    this.#newest = Math.max(this.#newest, value)
  }

  /** Fills that have not ended. */
  get filling(): number {
    return this.#filling.size
  }

  /** Waits until every read is answered, and no fill is left. */
  async calm(): Promise<void> {
    await Promise.all(this.#asked)
    await Promise.all(this.#filling)
  }

  /** Waits for all reads; then nothing changes, and the second of two more reads must be a hit. */
  async finish(): Promise<void> {
    await this.take({ do: 'release' })
    await this.take({ do: 'age' })
    await this.calm()
    this.#failFill = this.#failObservation = false
    for (let count = 0; count < 2 && !this.#violation; count++) {
      await this.#ask()
      await this.calm()
    }
    if (this.#violation) throw this.#violation
    if (this.reuses.at(-1) !== 'hit' && this.#fault === undefined)
      throw new Violation(`${this.reuses.at(-1)} at last`)
  }
}

/** A rule that was violated. */
export class Violation extends Error {}
