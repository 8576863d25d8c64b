import type { Clock } from '../../../limits/clock.js'
import {
  publishedMs,
  type Claim,
  type ClaimAnswer,
  type FillOutcome,
  type FleetEntry,
  type FleetFailure,
  type HeldClaim,
} from '../../engine.js'

/** Records beyond which the least recently used one is given up, if it is not in use. */
export const recordsMax = 50_000

/** Milliseconds for which an entry's record is in use after it was published: those who waited for it ask for it now. */
export const recentMs = 10_000

/** What is known of a key. Times are those of the clock. */
interface FillRecord {
  readonly repository: string
  readonly key: string
  lease?: { readonly node: string; readonly token: string; readonly until: number } | undefined
  published?: Published | undefined
  failure?: { readonly failure: FleetFailure; readonly until: number } | undefined
}

interface Published {
  readonly node: string
  readonly token: string
  readonly state: string
  readonly entry: FleetEntry
  readonly at: number
}

export interface FillRecordsOptions {
  readonly clock: Clock
  /** Returns a fencing token that has never been returned before. */
  readonly token: () => string
  /** Called when a key's record has changed so that others may go on. */
  readonly changed: (repository: string, key: string) => void
  readonly recordsMax?: number | undefined
}

/**
 * Fill leases, and what came of fills. At most `recordsMax` records are kept besides those in use (a lease, a failure in force,
 * an entry that was published less than `recentMs` ago), and twice as many in all. A record that was given up costs another
 * fill; its holder's publish is refused.
 */
export class FillRecords {
  readonly #options: FillRecordsOptions
  readonly #recordsMax: number
  /** The last used ones last. */
  readonly #records = new Map<string, FillRecord>()

  constructor(options: FillRecordsOptions) {
    this.#options = options
    this.#recordsMax = options.recordsMax ?? recordsMax
  }

  get size(): number {
    return this.#records.size
  }

  claim({ repository, key, state, node, ttlMs, rob }: Claim): ClaimAnswer {
    const now = this.#now
    const record = this.#use(repository, key)
    if (rob !== undefined && record.lease?.token === rob) record.lease = undefined
    if (rob !== undefined && record.published?.token === rob) record.published = undefined
    const { lease, published, failure } = record
    if (failure && (failure.failure.state === undefined || failure.failure.state === state)) {
      return { kind: 'failed', failure: failure.failure, leftMs: failure.until - now }
    }
    if (published && published.state === state) {
      return { kind: 'published', node: published.node, token: published.token, entry: published.entry }
    }
    if (lease && lease.node !== node) {
      return { kind: 'held', node: lease.node, token: lease.token, leftMs: lease.until - now }
    }
    const token = this.#options.token()
    record.lease = { node, token, until: now + ttlMs }
    // Others may be waiting for the node that has lost the lease.
    if (lease || rob !== undefined) this.#options.changed(repository, key)
    return { kind: 'granted', token }
  }

  renew(held: HeldClaim): boolean {
    const record = this.#heldBy(held)
    if (!record) return false
    record.lease = { node: held.node, token: held.token, until: this.#now + held.ttlMs }
    return true
  }

  publish(held: HeldClaim, outcome: FillOutcome): boolean {
    const record = this.#heldBy(held)
    if (!record) return false
    record.lease = undefined
    const now = this.#now
    if (outcome.kind === 'entry') {
      const { state, entry } = outcome
      record.published = { node: held.node, token: held.token, state, entry, at: now }
      record.failure = undefined
    } else if (outcome.kind === 'failure') {
      record.failure = { failure: outcome.failure, until: now + outcome.ttlMs }
    }
    this.#options.changed(held.repository, held.key)
    return true
  }

  /** Ends the leases of a node that ends, and forgets its entries, except those whose files others may open. */
  leave(node: string): void {
    const ended: FillRecord[] = []
    for (const record of this.#records.values()) {
      const { lease, published } = record
      const holds = lease?.node === node
      const has = published?.node === node && published.entry.path === undefined
      if (holds) record.lease = undefined
      if (has) record.published = undefined
      if (holds || has) ended.push(record)
    }
    for (const { repository, key } of ended) this.#options.changed(repository, key)
  }

  get #now(): number {
    return this.#options.clock.now()
  }

  /** Returns the record if the lease is held by that token. */
  #heldBy({ repository, key, node, token }: HeldClaim): FillRecord | undefined {
    if (!this.#records.has(nameOf(repository, key))) return undefined
    const record = this.#use(repository, key)
    return record.lease?.token === token && record.lease.node === node ? record : undefined
  }

  /** Returns a key's record, without what has expired, as the last used one. */
  #use(repository: string, key: string): FillRecord {
    const name = nameOf(repository, key)
    const record = this.#records.get(name) ?? { repository, key }
    this.#records.delete(name)
    this.#records.set(name, record)
    this.#expire(record)
    while (this.#records.size > this.#recordsMax && this.#giveUpOldest());
    return record
  }

  #expire(record: FillRecord): void {
    const now = this.#now
    if (record.lease && record.lease.until <= now) record.lease = undefined
    if (record.failure && record.failure.until <= now) record.failure = undefined
    if (record.published && record.published.at + publishedMs <= now) record.published = undefined
  }

  /** @returns false if the oldest record is in use and there is still room for it */
  #giveUpOldest(): boolean {
    const [name, record] = this.#records.entries().next().value!
    this.#expire(record)
    const { lease, failure, published } = record
    const isRecent = published !== undefined && published.at + recentMs > this.#now
    const isInUse = lease !== undefined || failure !== undefined || isRecent
    if (isInUse && this.#records.size <= 2 * this.#recordsMax) return false
    this.#records.delete(name)
    return true
  }
}

/** Neither name contains the separator. */
const nameOf = (repository: string, key: string): string => `${repository}/${key}`
