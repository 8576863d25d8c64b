import { randomBytes, randomUUID } from 'node:crypto'
import { systemClock } from '../../limits/clock.js'
import type { LeaseJournal } from './lease-journal.js'
import type { Lease, LeaseEnd, LeaseStatus } from './lease.js'
import type { MutatorLeases } from './mutator-leases.js'
import { NamedChanges } from './named-changes.js'

export interface LeaseEvents {
  opened?(lease: Lease): void
  ended?(lease: Lease, end: LeaseEnd): void
  /** A repository's state may have changed. */
  changed?(repository: string): void
  /** The journal cannot be read or written: leases work, but do not survive a crash. */
  journalFailed?(error: unknown): void
}

/** The largest permitted number of leases is open. */
export class TooManyLeases extends Error {
  override readonly name = 'TooManyLeases'
}

/** Most leases open at once, over all repositories. */
const leasesMax = 10_000

/** Most repositories of which a count is kept. */
const ledgersMax = 100_000

/** The leases of one repository. */
interface LeaseLedger {
  readonly open: Set<Lease>
  openings: number
  changes: number
}

/**
 * The open leases, and what they have told of each repository. Everything takes effect synchronously: when open() has
 * returned, every observation that begins afterwards sees the lease; when end() has returned, every one sees its end.
 *
 * A lease whose holder has disappeared ends at its time limit, as if with a change. The journal keeps open leases over a
 * crash of this process: a change that was under way is still known to be under way after the restart.
 */
export class Leases implements MutatorLeases {
  readonly #journal: LeaseJournal | undefined
  readonly #events: LeaseEvents
  readonly #leases = new Map<string, Lease>()
  /** Cancels the expiry timer of each lease, by id. */
  readonly #timers = new Map<string, () => void>()
  /** One for each repository that had a lease here lately, the last used ones last: clients choose names of an upstream's. */
  readonly #ledgers = new Map<string, LeaseLedger>()
  /**
   * The counts of every repository without a ledger: at least those of each ledger that was given up, so that no count ever
   * decreases.
   */
  #floor: LeaseStatus
  readonly #incarnation = randomUUID()
  /** What has changed, as far as leases have told. Leases of an earlier process are forgotten with their counts. */
  readonly #named = new NamedChanges()

  constructor(journal?: LeaseJournal, events: LeaseEvents = {}) {
    this.#journal = journal
    this.#events = events
    this.#floor = { open: 0, openings: 0, changes: 0, incarnation: this.#incarnation }
    for (const lease of this.#withJournal(() => journal?.open()) ?? []) this.#enter(lease)
  }

  /** Leases open now. */
  get size(): number {
    return this.#leases.size
  }

  list(): Lease[] {
    return [...this.#leases.values()]
  }

  /** Everything is known here. */
  refresh(): undefined {
    return undefined
  }

  statusOf(repository: string): LeaseStatus {
    const ledger = this.#ledgers.get(repository)
    if (!ledger) return this.#floor
    const { open, openings, changes } = ledger
    return { open: open.size, openings, changes, incarnation: this.#incarnation }
  }

  changedSince(repository: string, changes: number): readonly string[] | undefined {
    return this.#named.since(repository, changes, this.statusOf(repository).changes)
  }

  /** Opens a lease for that many milliseconds. @throws TooManyLeases */
  open(repository: string, ttlMs: number, reason?: string): Lease {
    if (this.#leases.size >= leasesMax) throw new TooManyLeases(`${leasesMax} leases are open`)
    const openedAt = new Date()
    const lease: Lease = {
      id: randomBytes(16).toString('base64url'),
      repository,
      reason,
      openedAt,
      ttlMs,
      expiresAt: new Date(openedAt.getTime() + ttlMs),
    }
    this.#enter(lease)
    this.#withJournal(() => this.#journal?.write(lease))
    this.#events.opened?.(lease)
    return lease
  }

  /** Extends a lease to `ttlMs` from now, or to its earlier time limit again; undefined: there is no such lease. */
  renew(id: string, ttlMs?: number): Lease | undefined {
    const before = this.#leases.get(id)
    if (!before) return undefined
    const time = ttlMs ?? before.ttlMs
    const lease = { ...before, ttlMs: time, expiresAt: new Date(Date.now() + time) }
    this.#ledgers.get(lease.repository)?.open.delete(before)
    this.#enter(lease, 0)
    this.#withJournal(() => this.#journal?.write(lease))
    return lease
  }

  /** Ends a lease; undefined: there is no such lease, perhaps because it has expired. */
  end(id: string, end: LeaseEnd, refs?: readonly string[]): Lease | undefined {
    const lease = this.#leases.get(id)
    if (!lease) return undefined
    this.#timers.get(id)?.()
    this.#timers.delete(id)
    this.#leases.delete(id)
    this.#ledgers.get(lease.repository)?.open.delete(lease)
    if (end !== 'unchanged') this.#change(lease.repository, end === 'changed' ? refs : undefined)
    // Last, so that after a crash in between the lease is still open.
    this.#withJournal(() => this.#journal?.remove(id))
    this.#events.ended?.(lease, end)
    return lease
  }

  /** Records that a repository may have changed: what was known of its refs is no longer valid. */
  invalidate(repository: string): void {
    this.#change(repository, undefined)
  }

  #change(repository: string, refs: readonly string[] | undefined): void {
    const ledger = this.#ledger(repository)
    ledger.changes++
    this.#named.add(repository, ledger.changes, refs)
    this.#events.changed?.(repository)
  }

  /** Cancels all timers. The journal stays for the next process. */
  close(): void {
    for (const stop of this.#timers.values()) stop()
    this.#timers.clear()
  }

  #enter(lease: Lease, openings = 1): void {
    const { id, repository, expiresAt, ttlMs } = lease
    const ledger = this.#ledger(repository)
    ledger.open.add(lease)
    ledger.openings += openings
    this.#leases.set(id, lease)
    this.#timers.get(id)?.()
    // The system clock may have been set since the lease was written; it never lasts longer than its ttl.
    const leftMs = Math.min(ttlMs, Math.max(0, expiresAt.getTime() - Date.now()))
    this.#timers.set(
      id,
      systemClock.after(leftMs, () => this.end(id, 'expired')),
    )
  }

  #ledger(repository: string): LeaseLedger {
    const { openings, changes } = this.#floor
    const ledger = this.#ledgers.get(repository) ?? { open: new Set(), openings, changes }
    this.#ledgers.delete(repository)
    this.#ledgers.set(repository, ledger)
    if (this.#ledgers.size > ledgersMax) this.#giveUpOldest()
    return ledger
  }

  /** Open leases are fewer than ledgers, so some ledger has none. */
  #giveUpOldest(): void {
    for (const [repository, { open, openings, changes }] of this.#ledgers) {
      if (open.size > 0) continue
      this.#ledgers.delete(repository)
      this.#floor = {
        ...this.#floor,
        openings: Math.max(this.#floor.openings, openings),
        changes: Math.max(this.#floor.changes, changes),
      }
      return
    }
  }

  #withJournal<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#events.journalFailed?.(error)
      return undefined
    }
  }
}
