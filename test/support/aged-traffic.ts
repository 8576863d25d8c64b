import { AgedCache } from '../../src/freshness/aged/aged-cache.js'
import type { AgedReading, AgedRequest } from '../../src/freshness/aged/aged-request.js'
import { Leases } from '../../src/freshness/leases/leases.js'
import type { StreamCache } from '../../src/streamcache/index.js'
import { Refused, textOf } from './aged-rig.js'
import { FakeClock } from './fake-clock.js'
import { turns } from './producers.js'
import { sha256 } from './sha256.js'
import { VersionedKey, Violation, type Mood } from './versioned-origin.js'

/** What may happen to an origin, and to the cache in front of it. */
export type AgedStep =
  | { do: 'read'; key: number; maxAgeMs: number; staleMs: number }
  | { do: 'write'; key: number; text: string }
  | { do: 'mood'; key: number; mood: Mood }
  | { do: 'compare'; key: number; compares: boolean }
  | { do: 'pass'; ms: number }
  | { do: 'turn'; count: number }
  | { do: 'forget' | 'leave'; key: number }
  | { do: 'invalidate' | 'lease' | 'endChanged' | 'endUnchanged' | 'restart' }

/** Ways to violate the rules, each of which must be detected. */
export type AgedFault = 'ignores invalidations' | 'ignores leases' | 'forgets the arrival'

export const keyCount = 3
/** The keys are of one repository, but for the last. */
const subjectOf = (key: number): string => (key === keyCount - 1 ? '/other' : '/r')

/** How often each thing happened. */
export class Tally extends Map<string, number> {
  count(name: string): void {
    this.set(name, (this.get(name) ?? 0) + 1)
  }
}

/** A client that waits for its answer. */
interface Waiting {
  readonly key: number
  readonly leave: () => void
}

/**
 * Random traffic to an AgedCache. Each answer is checked against the history of its key: it must have been current at some
 * moment since the arrival of its request minus the bound, and since the last invalidation before that arrival.
 */
export class AgedTraffic {
  readonly clock = new FakeClock()
  readonly tally = new Tally()
  readonly #cache: StreamCache
  readonly #fault: AgedFault | undefined
  readonly #random: () => number
  readonly #keys: VersionedKey[]
  readonly #reads = Array.from({ length: keyCount }, () => 0)
  readonly #hits = Array.from({ length: keyCount }, () => 0)
  readonly #refreshes = Array.from({ length: keyCount }, () => 0)
  readonly #leases = new Leases(undefined, { changed: (subject) => this.#changed(subject) })
  readonly #changedAt = new Map<string, number>()
  readonly #answers: Promise<void>[] = []
  readonly #waiting = new Set<Waiting>()
  #lease: string | undefined
  #aged: AgedCache
  #violation: unknown

  /** @param delays small whole numbers: how long each part of an answer takes, and jitter */
  constructor(cache: StreamCache, delays: Iterator<number>, fault?: AgedFault) {
    this.#cache = cache
    this.#fault = fault
    const next = (): number => delays.next().value as number
    this.#random = () => next() / 40
    this.#keys = Array.from({ length: keyCount }, () => new VersionedKey(this.clock, next))
    this.#aged = this.#start()
  }

  #start(): AgedCache {
    const { clock } = this
    return new AgedCache({
      ...{ cache: this.#cache, clock, random: this.#random },
      statusOf: (subject) => {
        const status = this.#leases.statusOf(subject)
        if (this.#fault === 'ignores leases') return { ...status, open: 0 }
        return this.#fault === 'ignores invalidations' ? { ...status, changes: 0 } : status
      },
      events: {
        upstreamAsked: (name, cause) => {
          const key = Number(name)
          this.tally.count(cause)
          if (cause === 'refresh') this.#refreshes[key]!++
        },
        servedStale: () => this.tally.count('stale'),
      },
    })
  }

  #changed(subject: string): void {
    this.#changedAt.set(subject, this.clock.now())
    this.#aged.changed(subject)
  }

  async take(step: AgedStep): Promise<void> {
    // Each step has a moment of its own.
    this.clock.advance(1)
    switch (step.do) {
      case 'read':
        return this.#read(step.key, step)
      case 'write':
        return this.#keys[step.key]!.write(step.text)
      case 'mood':
        this.#keys[step.key]!.mood = step.mood
        return
      case 'compare':
        this.#keys[step.key]!.compares = step.compares
        return
      case 'pass':
        for (let passed = 0; passed < step.ms; passed += 5) {
          this.clock.advance(5)
          await turns(3)
        }
        return
      case 'turn':
        return turns(step.count)
      case 'forget':
        return this.#aged.forget(String(step.key))
      case 'leave':
        return [...this.#waiting].find(({ key }) => key === step.key)?.leave()
      case 'invalidate':
        return this.#leases.invalidate('/r')
      case 'lease':
        this.#lease ??= this.#leases.open('/r', 1e9).id
        return
      case 'endChanged':
      case 'endUnchanged':
        if (this.#lease) this.#leases.end(this.#lease, step.do === 'endChanged' ? 'changed' : 'unchanged')
        this.#lease = undefined
        return
      case 'restart':
        await this.#drain()
        this.#aged.close()
        this.#aged = this.#start()
    }
  }

  #read(key: number, { maxAgeMs, staleMs }: { maxAgeMs: number; staleMs: number }): void {
    const origin = this.#keys[key]!
    const subject = subjectOf(key)
    const client = new AbortController()
    const arrivedAtMs = this.clock.now()
    const boundMs = this.#leases.statusOf(subject).open > 0 ? 0 : maxAgeMs
    const since = {
      fresh: Math.max(arrivedAtMs - boundMs, this.#changedAt.get(subject) ?? -Infinity),
      stale: arrivedAtMs - maxAgeMs - staleMs,
    }
    const askedBefore = origin.asked
    const request: AgedRequest = {
      ...{ key: String(key), subject, maxAgeMs, staleMs, signal: client.signal },
      arrivedAtMs: this.#fault === 'forgets the arrival' ? arrivedAtMs - 50 : arrivedAtMs,
      ask: (kept, signal) => {
        if (origin.asked >= this.#reads[key]!) this.#violated('more questions than reads')
        return origin.ask(kept, signal).catch((error: unknown) => {
          if (error instanceof Violation) this.#violated(error.message)
          throw error
        })
      },
      mayBeStale: (error) => !(error instanceof Refused),
      fillStarted: () => {
        const { text, kept } = origin.last!
        if (kept?.sha256 === sha256(text)) this.#violated('an equal answer has replaced what is kept')
      },
    }
    this.#reads[key]!++
    const waiting: Waiting = { key, leave: () => client.abort(new Error('left')) }
    this.#waiting.add(waiting)
    const check = async (reading: AgedReading): Promise<void> => {
      this.#waiting.delete(waiting)
      const { reuse, isStale, ageMs } = reading
      this.tally.count(reuse)
      // Its own round's question, if it is in one, and no other.
      if (origin.asked - askedBefore > 1) this.#violated('a request has waited for two questions')
      if (reuse === 'hit' && !isStale) this.#hits[key]!++
      if (isStale && staleMs === 0) this.#violated('a stale answer that was not allowed')
      if (!isStale && ageMs < 0) this.#violated('an age below zero')
      const text = await textOf(reading)
      if (!origin.wasCurrent(text, isStale ? since.stale : since.fresh))
        this.#violated(`stale: ${text}, ${reuse}, arrived at ${arrivedAtMs}, bound ${boundMs}`)
    }
    const answer = async (): Promise<void> => {
      try {
        await check(await this.#aged.read(request))
      } catch (error) {
        this.#waiting.delete(waiting)
        const { message } = error as Error
        if (!/^(away|broken|refused|left)$/.test(message)) this.#violated(message)
        else this.tally.count(message)
      }
    }
    this.#answers.push(answer())
  }

  #violated(message: string): void {
    this.#violation ??= new Violation(message)
  }

  /** Waits until every read is answered and every question has ended. */
  async #drain(): Promise<void> {
    const rest = Promise.all(this.#answers).then(() => true as const)
    // Entries are committed to a real disk, which the clock of the test does not hurry.
    for (const deadline = performance.now() + 20_000; performance.now() < deadline;) {
      const isOver = await Promise.race([rest, turns(3)])
      if (isOver && this.#keys.every(({ running }) => running === 0)) return
      this.clock.advance(5)
    }
    this.#violated('a request or a question hangs')
  }

  /** Waits until all is over. @throws the first violation */
  async finish(): Promise<void> {
    await this.#drain()
    this.#aged.close()
    this.#leases.close()
    await turns(3)
    for (const [key, origin] of this.#keys.entries()) {
      if (origin.asked > this.#reads[key]!) this.#violated('more questions than reads')
      if (this.#refreshes[key]! > this.#hits[key]!) this.#violated('a refresh that nobody has paid for')
    }
    if (this.clock.timers > 0) this.#violated('a timer is left')
    if (this.#violation) throw this.#violation
  }
}
