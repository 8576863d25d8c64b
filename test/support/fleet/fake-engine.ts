import type {
  Claim,
  ClaimAnswer,
  FillOutcome,
  FleetEngine,
  FleetEntry,
  FleetFailure,
  HeldClaim,
  Hint,
} from '../../../src/fleet/engine.js'
import type { Clock } from '../../../src/limits/clock.js'

interface Record {
  lease?: { node: string; token: string; until: number } | undefined
  published?: { node: string; token: string; state: string; entry: FleetEntry } | undefined
  failure?: { failure: FleetFailure; until: number } | undefined
}

/** The fill leases of an engine, and no more: for tests of fills. */
export class FakeEngine implements Pick<FleetEngine, 'claim' | 'renew' | 'publish' | 'watch'> {
  readonly #clock: Clock
  readonly #listeners = new Set<(hint: Hint) => void>()
  #records = new Map<string, Record>()
  #tokens = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Loses all its memory. */
  flush(): void {
    this.#records = new Map()
  }

  async claim({ repository, key, state, node, ttlMs, rob }: Claim): Promise<ClaimAnswer> {
    const record = this.#record(repository, key)
    if (rob !== undefined && record.lease?.token === rob) record.lease = undefined
    if (rob !== undefined && record.published?.token === rob) record.published = undefined
    const { lease, published, failure } = record
    const now = this.#clock.now()
    if (failure && [undefined, state].includes(failure.failure.state))
      return { kind: 'failed', failure: failure.failure, leftMs: failure.until - now }
    if (published && published.state === state) return { ...published, kind: 'published' }
    if (lease && lease.node !== node) return { ...lease, kind: 'held', leftMs: lease.until - now }
    const token = `t${++this.#tokens}`
    record.lease = { node, token, until: now + ttlMs }
    return { kind: 'granted', token }
  }

  async renew({ repository, key, token, ttlMs }: HeldClaim): Promise<boolean> {
    const { lease } = this.#record(repository, key)
    if (lease?.token !== token) return false
    lease.until = this.#clock.now() + ttlMs
    return true
  }

  async publish({ repository, key, node, token }: HeldClaim, outcome: FillOutcome): Promise<boolean> {
    const record = this.#record(repository, key)
    if (record.lease?.token !== token) return false
    record.lease = undefined
    if (outcome.kind === 'entry') record.published = { node, token, ...outcome }
    if (outcome.kind === 'failure')
      record.failure = { failure: outcome.failure, until: this.#clock.now() + outcome.ttlMs }
    for (const listener of this.#listeners) listener({ kind: 'key', repository, key })
    return true
  }

  watch(listener: (hint: Hint) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #record(repository: string, key: string): Record {
    const id = `${repository} ${key}`
    const record = this.#records.get(id) ?? {}
    this.#records.set(id, record)
    const now = this.#clock.now()
    if (record.lease && record.lease.until <= now) record.lease = undefined
    if (record.failure && record.failure.until <= now) record.failure = undefined
    return record
  }
}
