import { randomBytes } from 'node:crypto'
import { systemClock, type Clock } from '../../../limits/clock.js'
import type {
  Claim,
  ClaimAnswer,
  Epoch,
  FillOutcome,
  FleetEngine,
  FleetLease,
  HeldClaim,
  Hint,
  NewFleetLease,
} from '../../engine.js'
import { EpochTable } from './epoch-table.js'
import { FillRecords } from './fill-records.js'
import type { FleetLeaseJournal } from './fleet-lease-journal.js'
import { LeaseTable } from './lease-table.js'
import { MemberTable } from './member-table.js'

export interface TableEngineOptions {
  /** The system's clock if left out. */
  readonly clock?: Clock
  /** Keeps mutator leases over a crash of this process. */
  readonly journal?: FleetLeaseJournal | undefined
  /** The journal cannot be read or written: leases work, but do not survive a crash. */
  readonly journalFailed?: (error: unknown) => void
  /** Returns milliseconds since 1970; used for the journal only. */
  readonly wallNow?: () => number
  /** Most open mutator leases; `fleetLeasesMax` if left out. */
  readonly leasesMax?: number
  /** As in FillRecords. */
  readonly recordsMax?: number
  /** As in EpochTable. */
  readonly countsMax?: number
}

/**
 * The engine of a fleet on one host: a table in the memory of one process. Each method takes effect before it returns its
 * promise; watchers are called synchronously after the state has changed, and must not throw. An engine that is made anew
 * has another incarnation, which is part of its tokens.
 */
export class TableEngine implements FleetEngine {
  readonly #incarnation = randomBytes(16).toString('base64url')
  readonly #listeners = new Set<(hint: Hint) => void>()
  readonly #fills: FillRecords
  readonly #epochs: EpochTable
  readonly #leases: LeaseTable
  readonly #members: MemberTable
  #tokens = 0

  constructor(options: TableEngineOptions = {}) {
    const { clock = systemClock, recordsMax, countsMax, leasesMax, journal, journalFailed, wallNow } = options
    this.#members = new MemberTable(clock)
    this.#epochs = new EpochTable(countsMax)
    this.#fills = new FillRecords({
      clock,
      recordsMax,
      token: () => `${this.#incarnation}.${++this.#tokens}`,
      changed: (repository, key) => this.#tell({ kind: 'key', repository, key }),
    })
    this.#leases = new LeaseTable({
      clock,
      leasesMax,
      journal,
      journalFailed,
      wallNow,
      opened: (repository) => {
        this.#epochs.addOpening(repository)
        this.#tell({ kind: 'epoch', repository })
      },
      ended: (repository, end) => {
        if (end !== 'unchanged') this.#epochs.addChange(repository)
        this.#tell({ kind: 'epoch', repository })
      },
    })
  }

  /** Mutator leases that are open now. */
  get leasesOpen(): number {
    return this.#leases.size
  }

  claim(claim: Claim): Promise<ClaimAnswer> {
    return Promise.resolve(this.#fills.claim(claim))
  }

  renew(held: HeldClaim): Promise<boolean> {
    return Promise.resolve(this.#fills.renew(held))
  }

  publish(held: HeldClaim, outcome: FillOutcome): Promise<boolean> {
    return Promise.resolve(this.#fills.publish(held, outcome))
  }

  epochs(repositories: readonly string[]): Promise<Epoch[]> {
    return Promise.resolve(repositories.map((repository) => this.#epochOf(repository)))
  }

  change(repository: string): Promise<void> {
    this.#epochs.addChange(repository)
    this.#tell({ kind: 'epoch', repository })
    return Promise.resolve()
  }

  openLease(lease: NewFleetLease, leftMs?: number): Promise<void> {
    // An error of the executor rejects the promise.
    return new Promise((resolve) => resolve(this.#leases.open(lease, leftMs)))
  }

  renewLease(id: string, ttlMs?: number): Promise<FleetLease | undefined> {
    return Promise.resolve(this.#leases.renew(id, ttlMs))
  }

  endLease(id: string, end: 'changed' | 'unchanged'): Promise<FleetLease | undefined> {
    return Promise.resolve(this.#leases.end(id, end))
  }

  leases(): Promise<FleetLease[]> {
    return Promise.resolve(this.#leases.list())
  }

  beat(node: string, ttlMs: number): Promise<string[]> {
    return Promise.resolve(this.#members.beat(node, ttlMs))
  }

  leave(node: string): Promise<void> {
    this.#members.leave(node)
    this.#fills.leave(node)
    return Promise.resolve()
  }

  watch(listener: (hint: Hint) => void): () => void {
    // The same function may be given twice.
    const told = (hint: Hint): void => listener(hint)
    this.#listeners.add(told)
    return () => void this.#listeners.delete(told)
  }

  close(): Promise<void> {
    this.#listeners.clear()
    this.#leases.close()
    return Promise.resolve()
  }

  #epochOf(repository: string): Epoch {
    // First, since it counts leases that have expired.
    const open = this.#leases.openOf(repository)
    const { openings, changes } = this.#epochs.of(repository)
    return { incarnation: this.#incarnation, open, openings, changes }
  }

  #tell(hint: Hint): void {
    for (const listener of this.#listeners) listener(hint)
  }
}
