import { randomUUID } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Epoch, FleetEngine, FleetLease, Hint, NewFleetLease } from '../../../src/fleet/engine.js'
import { TooManyFleetLeases } from '../../../src/fleet/engine.js'
import type { FakeClock } from '../fake-clock.js'

type LeaseOperations = Pick<
  FleetEngine,
  'epochs' | 'change' | 'openLease' | 'renewLease' | 'endLease' | 'leases' | 'watch'
>

interface Counts {
  openings: number
  changes: number
}

/** An engine's part for mutator leases, which the test takes away from nodes, and which loses its memory when it says so. */
export class LeaseEngine {
  readonly calls: string[] = []
  leasesMax = Infinity
  /** Do hints arrive? */
  hints = true
  readonly #clock: FakeClock
  #incarnation = randomUUID()
  #counts = new Map<string, Counts>()
  #leases = new Map<string, { lease: NewFleetLease; until: number }>()
  readonly #listeners = new Set<(hint: Hint) => void>()

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  /** Returns the engine as one node reaches it. @param link is it reached? `lost`: it is, but its answers are not */
  at(link: { state: 'up' | 'away' | 'lost' }): LeaseOperations {
    const ask = async <T>(name: string, work: () => T): Promise<T> => {
      this.calls.push(name)
      await yieldToEventLoop()
      // As with Redis and etcd, where it takes two round trips: what is asked later may be done earlier.
      if (name === 'openLease') for (let turn = 0; turn < 2; turn++) await yieldToEventLoop()
      if (link.state === 'away') throw new Error('away')
      const answer = work()
      await yieldToEventLoop()
      if (link.state !== 'up') throw new Error('slow')
      return answer
    }
    return {
      epochs: (repositories) => ask('epochs', () => repositories.map((name) => this.#epoch(name))),
      change: (repository) => ask('change', () => this.#change(repository)),
      openLease: (lease, leftMs = lease.ttlMs) =>
        ask('openLease', () => {
          if (this.#leases.size >= this.leasesMax) throw new TooManyFleetLeases('full')
          this.#leases.set(lease.id, { lease, until: this.#clock.now() + leftMs })
          this.#of(lease.repository).openings++
          this.#hint(lease.repository)
        }),
      renewLease: (id, ttlMs) =>
        ask('renewLease', () => {
          this.#expire()
          const found = this.#leases.get(id)
          if (!found) return undefined
          const lease = { ...found.lease, ttlMs: ttlMs ?? found.lease.ttlMs }
          this.#leases.set(id, { lease, until: this.#clock.now() + lease.ttlMs })
          return { ...lease, leftMs: lease.ttlMs }
        }),
      endLease: (id, end) =>
        ask('endLease', () => {
          this.#expire()
          const found = this.#leases.get(id)
          if (!found) return undefined
          this.#leases.delete(id)
          if (end === 'changed') this.#change(found.lease.repository)
          return { ...found.lease, leftMs: found.until - this.#clock.now() }
        }),
      leases: () =>
        ask('leases', (): FleetLease[] => {
          this.#expire()
          return [...this.#leases.values()].map(({ lease, until }) => ({
            ...lease,
            leftMs: until - this.#clock.now(),
          }))
        }),
      watch: (listener) => {
        const own = (hint: Hint): void => {
          if (this.hints && link.state === 'up') listener(hint)
        }
        this.#listeners.add(own)
        return () => void this.#listeners.delete(own)
      },
    }
  }

  /** Loses all that it knows. */
  flush(): void {
    this.#incarnation = randomUUID()
    this.#counts = new Map()
    this.#leases = new Map()
  }

  #epoch(repository: string): Epoch {
    this.#expire()
    const open = [...this.#leases.values()].filter(({ lease }) => lease.repository === repository).length
    return { incarnation: this.#incarnation, open, ...this.#of(repository) }
  }

  #of(repository: string): Counts {
    const counts = this.#counts.get(repository) ?? { openings: 0, changes: 0 }
    this.#counts.set(repository, counts)
    return counts
  }

  #change(repository: string): void {
    this.#of(repository).changes++
    this.#hint(repository)
  }

  #expire(): void {
    for (const [id, { lease, until }] of this.#leases) {
      if (until > this.#clock.now()) continue
      this.#leases.delete(id)
      this.#change(lease.repository)
    }
  }

  #hint(repository: string): void {
    for (const listener of this.#listeners) listener({ kind: 'epoch', repository })
  }
}
