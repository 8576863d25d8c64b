import {
  repositoryOfLease,
  TooManyFleetLeases,
  type FleetEngine,
  type NewFleetLease,
} from '../../fleet/engine.js'
import type { Clock } from '../../limits/clock.js'
import { FleetUnreachable } from '../fleet-unreachable.js'
import type { EpochWatch } from './epoch-watch.js'
import { leaseOf, openMessage, parseLeaseMessage, type LeaseMessage } from './lease-messages.js'
import type { PendingWork } from './pending-work.js'
import { ToldLeases, type ToldLease } from './told-leases.js'

export interface DirectLeasesOptions {
  readonly engine: Pick<FleetEngine, 'openLease' | 'endLease' | 'change'>
  readonly tell: (message: LeaseMessage) => Promise<void>
  /** Returns the subject here of a name that all nodes share, if there is one. */
  readonly subjectOf: (name: string) => string | undefined
  readonly epochs: EpochWatch
  readonly pending: PendingWork
  readonly clock: Clock
  /** A lease of this node has reached its time limit. */
  readonly expired: (lease: NewFleetLease) => void
  /** The engine knows of a lease of this node now. */
  readonly moved: (lease: NewFleetLease, leftMs: number) => void
}

/**
 * Leases of which nodes tell each other, because one of them cannot tell the engine. They count on each node that has heard of
 * them, in addition to what the engine says, until they end, or the engine knows of them, or they reach their time limits.
 */
export class DirectLeases {
  readonly #options: DirectLeasesOptions
  readonly #told: ToldLeases

  constructor(options: DirectLeasesOptions) {
    this.#options = options
    this.#told = new ToldLeases(options.clock, (told) => this.#expire(told))
  }

  /** As `FleetLeases.greet`. */
  greet(): Promise<void> {
    return this.#options.tell({ about: 'leases', do: 'hello' }).catch(() => {})
  }

  get(id: string): ToldLease | undefined {
    return this.#told.get(id)
  }

  values(): Iterable<ToldLease> {
    return this.#told.values()
  }

  /** Opens a lease without the engine, or extends it. @throws FleetUnreachable: some node may not know of it */
  async open(lease: NewFleetLease): Promise<void> {
    const { id, repository, ttlMs } = lease
    const isNew = this.#enter(lease, true)
    this.#options.pending.add(`move ${id}`, () => this.#move(id))
    try {
      await this.#options.tell(openMessage(lease, ttlMs))
    } catch (cause) {
      // A lease that is extended stays for the rest of its time.
      if (isNew) {
        this.close(id)
        this.#tellQuietly({ about: 'leases', do: 'end', id, changed: false })
        this.#options.pending.add(`end ${id}`, () => this.#options.engine.endLease(id, 'unchanged'))
        this.pendChange(repository)
      }
      throw new FleetUnreachable(
        'neither the engine of the fleet nor all of its nodes can be told of a lease',
        { cause },
      )
    }
  }

  /** Takes note of what another node tells; in force when it returns. @throws TooManyLeases */
  heard(message: unknown): void {
    const told = parseLeaseMessage(message)
    if (told?.do === 'open') this.#enter(leaseOf(told), false, told.leftMs)
    else if (told?.do === 'moved') this.close(told.id)
    else if (told?.do === 'change') this.#options.epochs.change(told.repository)
    else if (told?.do === 'end' && !this.close(told.id, told.changed) && told.changed)
      this.#options.epochs.change(repositoryOfLease(told.id) ?? '')
    else if (told?.do === 'hello') this.#tellAll()
    const repository = told && repositoryIn(told)
    // Soon, so that the engine's count of what was told is known by its difference.
    if (repository !== undefined) void this.#options.epochs.read(repository)
  }

  /** Has the engine be told of a change as soon as it answers. */
  pendChange(repository: string): void {
    const { pending, engine, epochs } = this.#options
    pending.add(`change ${repository}`, async () => {
      await epochs.readBase(repository)
      await engine.change(repository)
    })
  }

  /** @returns is it new? @throws TooManyLeases */
  #enter(lease: NewFleetLease, isOwn: boolean, leftMs?: number): boolean {
    const { epochs, subjectOf } = this.#options
    const isNew = this.#told.open(lease, isOwn, leftMs)
    if (isNew) epochs.opened(subjectOf(lease.name) ?? lease.name, lease.repository)
    return isNew
  }

  /** Removes a lease of which nodes have told each other. @returns it; undefined: there is none */
  close(id: string, isChanged = false): ToldLease | undefined {
    const told = this.#told.close(id)
    if (!told) return undefined
    this.#options.pending.remove(`move ${id}`)
    // Before the lease is gone: no state between the two is trusted.
    if (isChanged) this.#options.epochs.change(told.lease.repository)
    this.#options.epochs.closed(told.lease.repository)
    return told
  }

  #expire({ lease, isOwn }: ToldLease): void {
    this.#options.pending.remove(`move ${lease.id}`)
    this.#options.epochs.change(lease.repository)
    this.#options.epochs.closed(lease.repository)
    if (!isOwn) return
    this.pendChange(lease.repository)
    this.#options.expired(lease)
  }

  /** Enters a lease with the engine that was opened without it. */
  async #move(id: string): Promise<void> {
    const told = this.#told.get(id)
    if (!told) return
    const { engine, clock } = this.#options
    const leftMs = Math.max(1, told.expiresAtMs - clock.now())
    try {
      await engine.openLease(told.lease, leftMs)
    } catch (error) {
      if (error instanceof TooManyFleetLeases) return
      throw error
    }
    const now = this.#told.get(id)
    // Its end may have been told to the engine before the engine knew of it.
    if (!now) await engine.endLease(id, 'changed')
    // It was extended, and the engine knows of its earlier time limit.
    else if (now !== told) await this.#move(id)
    else this.#moved(told, leftMs)
  }

  /** The engine knows of a lease now. */
  #moved({ lease }: ToldLease, leftMs: number): void {
    const { id, repository } = lease
    this.#options.moved(lease, leftMs)
    this.pendChange(repository)
    this.close(id)
    this.#tellQuietly({ about: 'leases', do: 'moved', id })
  }

  #tellAll(): void {
    for (const { lease, isOwn, expiresAtMs } of this.#told.values())
      if (isOwn) this.#tellQuietly(openMessage(lease, Math.max(1, expiresAtMs - this.#options.clock.now())))
  }

  #tellQuietly(message: LeaseMessage): void {
    this.#options.tell(message).catch(() => {})
  }

  /** Cancels all timers. */
  clear(): void {
    this.#told.clear()
  }
}

/** Returns the repository that a message is about. */
function repositoryIn(message: LeaseMessage): string | undefined {
  if (message.do === 'hello') return undefined
  if (message.do === 'change') return message.repository
  return repositoryOfLease(message.do === 'open' ? message.lease.id : message.id)
}
