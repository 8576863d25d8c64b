import { randomBytes } from 'node:crypto'
import {
  repositoryOfLease,
  TooManyFleetLeases,
  type FleetEngine,
  type FleetLease,
  type NewFleetLease,
} from '../../fleet/engine.js'
import { systemClock, type Clock } from '../../limits/clock.js'
import { FleetUnreachable } from '../fleet-unreachable.js'
import type { Lease, LeaseEnd, LeaseStatus } from '../leases/lease.js'
import { TooManyLeases, type LeaseEvents } from '../leases/leases.js'
import type { MutatorLeases } from '../leases/mutator-leases.js'
import { enterAnew } from './entered-anew.js'
import { EpochWatch } from './epoch-watch.js'
import type { KnownEpoch } from './known-epoch.js'
import { DirectLeases } from './direct-leases.js'
import type { LeaseMessage } from './lease-messages.js'
import { OwnLeases, unknownLease, type OwnLease } from './own-leases.js'
import { PendingWork } from './pending-work.js'
import type { SubjectNames } from './subject-names.js'

export interface FleetLeasesOptions {
  /** Rejects if the engine is away or slow. */
  readonly engine: Pick<
    FleetEngine,
    'epochs' | 'change' | 'openLease' | 'renewLease' | 'endLease' | 'leases' | 'watch'
  >
  readonly names: SubjectNames
  /** Tells all other nodes; rejects if one may not have heard it. See `Peers.tell`. */
  readonly tell: (message: LeaseMessage) => Promise<void>
  /** `opened` and `ended`: of leases here; `changed`: whichever node has told of the change. */
  readonly events?: LeaseEvents
  readonly clock?: Clock
}

/** Milliseconds between two looks at whether the engine still has the leases of this node: others trust it again after 25 s. */
const checkMs = 5000

/**
 * Mutator leases that all nodes of a fleet see. The engine counts them; nothing that depends on them is answered without a
 * read of the engine that began after the request arrived (`refresh`), or else the status says that a lease is open.
 *
 * While the engine is away, what would be told to it takes effect here at once, and every other node is told directly. What is
 * told counts there in addition to what the engine says, whether that node has the engine or not: so a node that has it does
 * not answer what is older than a change made by one that has not. Where a node cannot be told, open() rejects: a mutator on
 * which readers depend must not begin. An end need not reach every node: those that know of the lease trust nothing
 * until its time limit, which counts as a change. As soon as the engine answers, it is told what it has missed, before its next
 * answer about epochs counts here.
 *
 * An engine that has lost its memory names another incarnation. Nodes then enter their open leases anew; until all have had
 * time to, the status says that a lease is open.
 */
export class FleetLeases implements MutatorLeases {
  readonly #options: FleetLeasesOptions
  readonly #clock: Clock
  readonly #epochs: EpochWatch
  readonly #direct: DirectLeases
  readonly #pending: PendingWork
  /** Leases that were opened here. */
  readonly #own: OwnLeases
  #cancelCheck: (() => void) | undefined
  #isClosed = false

  constructor(options: FleetLeasesOptions) {
    const { engine, names, events, clock = systemClock } = options
    this.#options = options
    this.#clock = clock
    this.#own = new OwnLeases(clock)
    this.#pending = new PendingWork(clock, () => this.#epochs.read())
    this.#epochs = new EpochWatch({
      ...{ engine, clock },
      repositoryOf: (subject) => names.digestOf(names.nameOf(subject)),
      beforeRead: () => this.#pending.run(),
      changed: (subject) => events?.changed?.(subject),
      lost: (repository) => this.#enterAnew(repository),
    })
    this.#direct = new DirectLeases({
      ...{ engine, clock, tell: options.tell, epochs: this.#epochs, pending: this.#pending },
      subjectOf: (name) => names.subjectOf(name),
      expired: (lease) => events?.ended?.(this.#toLease({ ...lease, leftMs: 0 }), 'expired'),
      moved: (lease, leftMs) =>
        this.#own.get(lease.id) && this.#keep(lease, this.#incarnationOf(lease.repository), leftMs),
    })
  }

  get size(): number {
    return this.#own.size
  }

  refresh(subject: string, once?: 'once'): Promise<void> | undefined {
    return this.#epochs.refresh(subject, once !== undefined)
  }

  statusOf(subject: string): LeaseStatus {
    return this.#epochs.statusOf(subject)
  }

  /** Returns the leases of the fleet; those that are known here while the engine is away. */
  async list(): Promise<Lease[]> {
    const leases = new Map<string, FleetLease>()
    for (const { lease, expiresAtMs } of this.#direct.values())
      leases.set(lease.id, { ...lease, leftMs: expiresAtMs - this.#clock.now() })
    const counted = await this.#options.engine.leases().catch(() => this.#own.values())
    for (const lease of counted) leases.set(lease.id, lease)
    return [...leases.values()].map((lease) => this.#toLease(lease))
  }

  async open(subject: string, ttlMs: number, reason?: string): Promise<Lease> {
    const { repository } = this.#epochs.of(subject)
    const id = `${repository}.${randomBytes(16).toString('base64url')}`
    const name = this.#options.names.nameOf(subject)
    const lease: NewFleetLease = { id, repository, name, reason, openedAtMs: Date.now(), ttlMs }
    // Before the engine has it, so that a loss meanwhile is seen: a later incarnation may have forgotten it.
    if (this.#incarnationOf(repository) === undefined) await this.#epochs.read(repository)
    const incarnation = this.#incarnationOf(repository)
    try {
      await this.#options.engine.openLease(lease)
    } catch (error) {
      if (error instanceof TooManyFleetLeases) throw new TooManyLeases(error.message)
      await this.#direct.open(lease)
    }
    this.#keep(lease, incarnation)
    if (this.#incarnationOf(repository) !== incarnation) this.#enterAnew(repository)
    const opened = this.#toLease({ ...lease, leftMs: ttlMs })
    this.#options.events?.opened?.(opened)
    return opened
  }

  async renew(id: string, ttlMs?: number): Promise<Lease | undefined> {
    const { engine } = this.#options
    const repository = repositoryOfLease(id)
    if (repository === undefined) return undefined
    // As they are now: the engine may be told of the lease anew, or lose it, before its answer is here.
    const before = this.#own.get(id)
    let incarnation = this.#incarnationOf(repository)
    const own = this.#direct.get(id)?.lease ?? before?.lease
    const renewed = own && { ...own, ttlMs: ttlMs ?? own.ttlMs }
    try {
      let lease = await engine.renewLease(id, ttlMs)
      if (!lease && renewed && (await this.#isMissing(id, before))) {
        // Work may be under way that enters it for the rest of its time, and must not be what the engine hears last.
        await this.#epochs.read(repository)
        incarnation = this.#incarnationOf(repository)
        lease = await this.#renewMissing(renewed)
      }
      if (lease && own) this.#keep(lease, incarnation)
      if (!lease) this.#own.delete(id)
      return lease && this.#toLease(lease)
    } catch (cause) {
      if (!renewed)
        throw new FleetUnreachable('the engine of the fleet cannot be asked about a lease', { cause })
      await this.#direct.open(renewed)
      this.#keep(renewed, incarnation)
      return this.#toLease({ ...renewed, leftMs: renewed.ttlMs })
    }
  }

  /** Renews a lease that the engine did not know. @returns undefined: it was entered anew, and has ended meanwhile */
  async #renewMissing(lease: NewFleetLease): Promise<FleetLease | undefined> {
    const { engine } = this.#options
    const { id, ttlMs } = lease
    const renewed = await engine.renewLease(id, ttlMs)
    if (renewed || !(await this.#isMissing(id, this.#own.get(id)))) return renewed
    await engine.openLease(lease)
    return { ...lease, leftMs: ttlMs }
  }

  /** Does the engine not know a lease that was neither ended nor has expired? */
  async #isMissing(id: string, own: OwnLease | undefined): Promise<boolean> {
    return this.#direct.get(id) !== undefined || this.#isLost(own)
  }

  /** Has the engine lost its memory since it knew a lease of this node? */
  async #isLost(own: OwnLease | undefined): Promise<boolean> {
    if (own?.incarnation === undefined || own.expiresAtMs <= this.#clock.now()) return false
    const { repository } = own.lease
    await this.#epochs.read(repository)
    return own.incarnation !== this.#incarnationOf(repository)
  }

  /** Ends a lease; while the engine is away also one that is not known here, by its id. */
  async end(id: string, end: LeaseEnd): Promise<Lease | undefined> {
    const repository = repositoryOfLease(id)
    if (repository === undefined) return undefined
    const known = this.#epochs.find(repository)
    const generation = known?.generation
    const isChanged = end !== 'unchanged'
    const own = this.#own.delete(id)
    const told = this.#direct.close(id, isChanged)
    let lease = this.#toLease({ ...(told?.lease ?? own?.lease ?? unknownLease(id, repository)), leftMs: 0 })
    try {
      const ended = await this.#options.engine.endLease(id, isChanged ? 'changed' : 'unchanged')
      if (told) this.#direct.pendChange(repository)
      else if (!ended && !(await this.#isLost(own))) return undefined
      // An engine that has lost the lease does not count its end, and has answered other nodes as if it were not open.
      if (!told && !ended && isChanged) await this.#options.engine.change(repository)
      if (!told && isChanged && known) await this.#seeChange(known, generation ?? 0)
      if (ended) lease = this.#toLease({ ...ended, leftMs: 0 })
    } catch {
      if (!told && isChanged) this.#epochs.change(repository)
      this.#pending.add(`end ${id}`, async () => {
        await this.#epochs.readBase(repository)
        const ended = await this.#options.engine.endLease(id, isChanged ? 'changed' : 'unchanged')
        if (!ended || told) await this.#options.engine.change(repository)
      })
      await this.#options.tell({ about: 'leases', do: 'end', id, changed: isChanged }).catch(() => {})
      this.#options.events?.ended?.(lease, end)
      return lease
    }
    if (told) await this.#options.tell({ about: 'leases', do: 'end', id, changed: isChanged }).catch(() => {})
    if (told) await this.#epochs.read(repository)
    this.#options.events?.ended?.(lease, end)
    return lease
  }

  /** @throws FleetUnreachable if some node may not know of it; it is in force here even so, and the engine is told later */
  async invalidate(subject: string): Promise<void> {
    const known = this.#epochs.of(subject)
    const { repository, generation } = known
    try {
      await this.#options.engine.change(repository)
    } catch {
      this.#epochs.change(repository)
      this.#direct.pendChange(repository)
      try {
        await this.#options.tell({ about: 'leases', do: 'change', repository })
      } catch (cause) {
        throw new FleetUnreachable(
          'neither the engine of the fleet nor all of its nodes can be told of a change',
          { cause },
        )
      }
      return
    }
    await this.#seeChange(known, generation)
  }

  /**
   * Asks the other nodes for the leases that they have told each other before this node was there; to be called when they can
   * tell it something, and before it serves clients. Never rejects: what a node has that cannot be reached is not known here.
   */
  greet(): Promise<void> {
    return this.#direct.greet()
  }

  /** Takes note of what another node tells; in force when it returns. @throws TooManyLeases */
  heard(message: unknown): void {
    this.#direct.heard(message)
  }

  /** Stops all timers; leases stay open until their time limits. */
  close(): void {
    this.#isClosed = true
    this.#cancelCheck?.()
    this.#epochs.close()
    this.#pending.close()
    this.#direct.clear()
  }

  /** Has the engine's count of a change be seen here, whether it has been read meanwhile or cannot be read. */
  async #seeChange(known: KnownEpoch, before: number): Promise<void> {
    if (known.generation === before) await this.#epochs.read(known.repository)
    if (known.generation === before) this.#epochs.change(known.repository)
  }

  #enterAnew(repository: string): void {
    const { engine } = this.#options
    const isTold = (id: string): boolean => this.#direct.get(id) !== undefined
    const parts = { engine, own: this.#own, pending: this.#pending, clock: this.#clock, isTold }
    enterAnew(parts, repository, this.#incarnationOf(repository))
  }

  /** @param incarnation of the engine that has it, or an earlier one */
  #keep(lease: NewFleetLease, incarnation: string | undefined, leftMs?: number): void {
    this.#own.add(lease, incarnation, leftMs)
    this.#checkLater()
  }

  #checkLater(): void {
    if (this.#isClosed) return
    this.#cancelCheck ??= this.#clock.after(checkMs, () => {
      this.#cancelCheck = undefined
      const { repositories } = this.#own
      for (const repository of repositories) void this.#epochs.read(repository)
      if (repositories.size > 0) this.#checkLater()
    })
  }

  #incarnationOf(repository: string): string | undefined {
    return this.#epochs.find(repository)?.incarnation
  }

  #toLease({ id, name, reason, openedAtMs, ttlMs, leftMs }: FleetLease): Lease {
    const repository = this.#options.names.subjectOf(name) ?? name
    const [openedAt, expiresAt] = [new Date(openedAtMs), new Date(Date.now() + leftMs)]
    return { id, repository, reason, openedAt, ttlMs, expiresAt }
  }
}
