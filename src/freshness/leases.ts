import { randomBytes } from 'node:crypto'
import { systemClock } from '../limits/clock.js'
import type { LeaseJournal } from './lease-journal.js'

/** Somebody's word that a repository may be changing, with a time limit. */
export interface Lease {
  /** 128 random bits in base64url; whoever knows it may renew and end the lease. */
  readonly id: string
  /** The repository's common directory. */
  readonly repository: string
  readonly reason: string | undefined
  readonly openedAt: Date
  readonly ttlMs: number
  readonly expiresAt: Date
}

/** What leases say of a repository at one moment; the counts only ever grow. */
export interface LeaseStatus {
  /** Leases open now. */
  readonly open: number
  /** How many have been opened. */
  readonly openings: number
  /** How many changes there have been: leases that ended with one or expired, and invalidations. */
  readonly changes: number
}

export type LeaseEnd = 'changed' | 'unchanged' | 'expired'

export interface LeaseEvents {
  opened?(lease: Lease): void
  ended?(lease: Lease, end: LeaseEnd): void
  /** A repository's state may be another from now on. */
  changed?(repository: string): void
  /** The journal cannot be written: leases work, but do not survive a crash. */
  journalFailed?(error: unknown): void
}

/** There are as many leases as there may be. */
export class TooManyLeases extends Error {
  override readonly name = 'TooManyLeases'
}

/** Most leases open at once, over all repositories. */
const leasesMax = 10_000

interface LeaseLedger {
  readonly open: Set<Lease>
  openings: number
  changes: number
}

const noLeases: LeaseStatus = { open: 0, openings: 0, changes: 0 }

/**
 * The leases that are open, and what they have said of each repository. Everything here happens at once: when open()
 * returns, every look that begins afterwards sees the lease; when end() returns, every look sees its end.
 *
 * A lease whose holder has gone ends at its time limit, as if with a change. The journal keeps open leases over a crash
 * of this process: a change that is under way then is still known to be, after the restart.
 */
export class Leases {
  readonly #journal: LeaseJournal | undefined
  readonly #events: LeaseEvents
  readonly #leases = new Map<string, Lease>()
  /** What stops the timer of each. */
  readonly #timers = new Map<string, () => void>()
  /** One for each repository that ever had a lease here: as many as there are repositories. */
  readonly #ledgers = new Map<string, LeaseLedger>()

  constructor(journal?: LeaseJournal, events: LeaseEvents = {}) {
    this.#journal = journal
    this.#events = events
    for (const lease of this.#journalled(() => journal?.open()) ?? []) this.#enter(lease)
  }

  get size(): number {
    return this.#leases.size
  }

  list(): Lease[] {
    return [...this.#leases.values()]
  }

  statusOf(repository: string): LeaseStatus {
    const book = this.#ledgers.get(repository)
    return book ? { open: book.open.size, openings: book.openings, changes: book.changes } : noLeases
  }

  /** @throws TooManyLeases */
  open(repository: string, ttlMs: number, reason?: string): Lease {
    if (this.#leases.size >= leasesMax) throw new TooManyLeases(`${leasesMax} leases are open`)
    const openedAt = new Date()
    const lease: Lease = {
      id: randomBytes(16).toString('base64url'),
      repository,
      reason: reason,
      openedAt,
      ttlMs,
      expiresAt: new Date(openedAt.getTime() + ttlMs),
    }
    this.#enter(lease)
    this.#journalled(() => this.#journal?.write(lease))
    this.#events.opened?.(lease)
    return lease
  }

  /** Lets a lease last `ttlMs` from now on, or as long again as it was given first; undefined: there is none. */
  renew(id: string, ttlMs?: number): Lease | undefined {
    const before = this.#leases.get(id)
    if (!before) return undefined
    const time = ttlMs ?? before.ttlMs
    const lease = { ...before, ttlMs: time, expiresAt: new Date(Date.now() + time) }
    this.#ledgers.get(lease.repository)?.open.delete(before)
    this.#enter(lease, 0)
    this.#journalled(() => this.#journal?.write(lease))
    return lease
  }

  /** Ends a lease; undefined: there is none, perhaps because it has expired. */
  end(id: string, end: LeaseEnd): Lease | undefined {
    const lease = this.#leases.get(id)
    if (!lease) return undefined
    this.#timers.get(id)?.()
    this.#timers.delete(id)
    this.#leases.delete(id)
    this.#ledgers.get(lease.repository)?.open.delete(lease)
    if (end !== 'unchanged') this.invalidate(lease.repository)
    // Last, so that a crash in between leaves the lease rather than its end.
    this.#journalled(() => this.#journal?.remove(id))
    this.#events.ended?.(lease, end)
    return lease
  }

  /** Whatever was known of a repository's refs is of the past. */
  invalidate(repository: string): void {
    this.#ledger(repository).changes++
    this.#events.changed?.(repository)
  }

  /** Forgets the time limits; the journal stays for the next process. */
  close(): void {
    for (const stop of this.#timers.values()) stop()
    this.#timers.clear()
  }

  #enter(lease: Lease, openings = 1): void {
    const { id, repository, expiresAt, ttlMs } = lease
    const book = this.#ledger(repository)
    book.open.add(lease)
    book.openings += openings
    this.#leases.set(id, lease)
    this.#timers.get(id)?.()
    // The clock may have jumped since a lease was written down; it never lasts longer than it was given.
    const leftMs = Math.min(ttlMs, Math.max(0, expiresAt.getTime() - Date.now()))
    this.#timers.set(
      id,
      systemClock.after(leftMs, () => this.end(id, 'expired')),
    )
  }

  #ledger(repository: string): LeaseLedger {
    const known = this.#ledgers.get(repository)
    if (known) return known
    const book: LeaseLedger = { open: new Set(), openings: 0, changes: 0 }
    this.#ledgers.set(repository, book)
    return book
  }

  #journalled<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#events.journalFailed?.(error)
      return undefined
    }
  }
}
