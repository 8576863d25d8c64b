import type { ObservationSettings, RepositoryState } from '../../../git/state/repository-state.js'
import type { RepositoriesRoot } from '../../../git/state/repositories-root.js'
import { identityOf, type RepositoryRefusal, type Repository } from '../../../git/state/repository.js'
import {
  Disk,
  type DiskObjects,
  type DiskObservation,
  type DiskOptions,
  type FoundRepository,
  type GitFacts,
} from './disk.js'
import { Disks } from './disks.js'
import type { ObservedState } from '../../../freshness/observed-state.js'
import { changesNameOf, type LeaseStatus } from '../../../freshness/leases/lease.js'
import type { MutatorLeases } from '../../../freshness/leases/mutator-leases.js'
import { LeasedRefs } from './leased-refs.js'
import type { Modes } from './modes.js'
import { CoalescedObservations } from '../../../freshness/coalesced-observations.js'

/** What is known of a repository at one moment: its state on disk, combined with what its leases tell. */
export interface Observation extends Omit<RepositoryState, 'capabilities'> {
  /** The state of all that decides the bytes of an advertisement or a ref listing. */
  readonly refs: ObservedState
  /** The state of the part that decides a capability advertisement of protocol v2. */
  readonly capabilities: ObservedState
}

/** What is known at one moment of what decides a repository's packs besides its objects and refs. */
export interface ObjectsObservation extends Omit<RepositoryState, 'capabilities'> {
  /** As in `Observation`. */
  readonly capabilities: ObservedState
  /** The state of `shallow`, `info/grafts` and the alternates, and of all that `capabilities` covers. */
  readonly objects: ObservedState
}

export interface ObserverOptions extends Omit<DiskOptions, 'guard'> {
  readonly root: RepositoriesRoot
  /** How the disk is queried; left out: on the event loop, whatever the filesystem. */
  readonly disks?: Disks
  /** What is known of the Git in use; observations wait for it. */
  readonly settings: Promise<ObservationSettings>
  readonly leases: MutatorLeases
  readonly modes: Modes
  /** Milliseconds after which an entry is no longer fresh, where leases alone decide or not all loose refs are checked. */
  readonly unleasedMaxAgeMs: number
  readonly observed?: (result: 'settled' | 'unsettled' | 'leased' | 'missing') => void
  /** Called with the path of something that exists and is not served, and the reason. */
  readonly refused?: (path: string, why: RepositoryRefusal) => void
  /** Called with the milliseconds by which timestamps are ahead of the system clock, which was set back. */
  readonly clockBehind?: (ms: number) => void
}

/** Milliseconds by which timestamps must be ahead of the clock to be reported. */
const clockBehindMs = 1000

/**
 * The *observe* of R2: names the state of a repository, according to the repository's mode.
 *
 * In mode `observe`, the token is a digest of what is on disk; a lease that ends increases the generation, an open one
 * changes nothing. In mode `lease`, the disk tells only how the repository is configured, and the leases name the state of
 * its refs: it is unsettled while a lease is open, and the end of a lease increases the generation. There the token
 * contains the id of the memory that counts leases, since leases may have been opened and ended while it was not there; and
 * no entry answers for longer than `unleasedMaxAgeMs`, in case of changes for which no lease was opened. While no lease is open,
 * the observation gives access to what the ended ones have named (`LeasedRefs`).
 *
 * In a fleet, leases are counted for all nodes. The mode `lease` asks anew what they tell, as part of each observation; the
 * mode `observe` is content with hints of invalidations. Nodes may be in different modes: one that still reads the disk ends
 * the leases of pushes as unchanged. So if a rule has not put all nodes into the mode `lease`, the token contains the number of
 * leases that were opened too, and nothing that was made before such a push answers after it.
 *
 * The status of the leases is read in one step after the disk. So an open lease is seen by every observation that begins
 * after it was opened, and a change under a lease that ended before that step came before any fill that follows this
 * observation.
 */
export class Observer {
  readonly #options: ObserverOptions
  readonly #disks: Disks
  readonly #facts: Promise<GitFacts>
  readonly #observations: CoalescedObservations<Observation | undefined>
  readonly #objectsObservations: CoalescedObservations<ObjectsObservation | undefined>

  constructor(options: ObserverOptions) {
    this.#options = options
    this.#disks = options.disks ?? new Disks(new Disk(options))
    this.#facts = options.settings.then(({ scopes, programs, environmentDigest }) => ({
      scopes,
      programs,
      environmentDigest,
    }))
    // A rejection is reported by each observation.
    this.#facts.catch(() => {})
    this.#observations = new CoalescedObservations((path) => this.#observeOnce(path))
    this.#objectsObservations = new CoalescedObservations((path) => this.#observeObjectsOnce(path))
  }

  /** Queries the disk, on whatever filesystem a path is. */
  get disks(): Disks {
    return this.#disks
  }

  /**
   * Observes the repository at a path; the observation begins after this call and is shared with other callers.
   * @returns undefined if there is no repository that is served
   * @throws FilesystemUnanswered
   */
  observe(path: string): Promise<Observation | undefined> {
    return this.#observations.observe(path)
  }

  /** The same for what decides the packs of the repository; its refs are not looked at. @throws FilesystemUnanswered */
  observeObjects(path: string): Promise<ObjectsObservation | undefined> {
    return this.#objectsObservations.observe(path)
  }

  /** Finds the repository at a path; without a promise on a local filesystem. @throws FilesystemUnanswered */
  find(path: string): Repository | undefined | Promise<Repository | undefined> {
    const take = ({ repository, refused }: FoundRepository): Repository | undefined => {
      if (refused) this.#options.refused?.(path, refused)
      return repository
    }
    const found = this.#disks.find(path)
    return found instanceof Promise ? found.then(take) : take(found)
  }

  async #observeOnce(path: string): Promise<Observation | undefined> {
    const observation = await this.#disks.observe(path, await this.#facts, this.#options.modes)
    this.#report(path, observation)
    if (!observation.observed) return undefined
    const refreshing = this.#refresh(observation.observed)
    if (refreshing) await refreshing
    return this.#withLeases(observation.observed)
  }

  /** Has the status of the leases reflect all that had happened when this was called, if leases decide. */
  #refresh({ state, refs }: NonNullable<DiskObservation['observed']>): Promise<void> | undefined {
    const { leases } = this.#options
    const { commonDir } = state.repository
    if (refs && refs !== 'directories') return leases.refresh(commonDir, 'once')
    // Until this observation the disk decided, so a push may have ended its lease as unchanged.
    const invalidated = refs === 'directories' ? leases.invalidate(commonDir) : undefined
    if (!invalidated) return leases.refresh(commonDir)
    const refresh = (): Promise<void> | undefined => leases.refresh(commonDir)
    // What could not be told to all is in force here.
    return invalidated.then(refresh, refresh)
  }

  async #observeObjectsOnce(path: string): Promise<ObjectsObservation | undefined> {
    const observation = await this.#disks.observeObjects(path, await this.#facts)
    this.#report(path, observation)
    if (!observation.observed) return undefined
    const { state, objects } = observation.observed
    this.#options.observed?.(objects.unsettledMs > 0 ? 'unsettled' : 'settled')
    const { leases } = this.#options
    const refreshing = leases.refresh(state.repository.commonDir, 'once')
    if (refreshing) await refreshing
    const common = unleasedState(state.repository, leases.statusOf(state.repository.commonDir))
    return {
      ...state,
      capabilities: { ...state.capabilities, ...common },
      objects: { ...objects, ...common },
    }
  }

  #report(path: string, { observed, refused, aheadMs }: DiskObservation | DiskObjects): void {
    if (refused) this.#options.refused?.(path, refused)
    if (aheadMs > clockBehindMs) this.#options.clockBehind?.(aheadMs)
    if (!observed) this.#options.observed?.('missing')
  }

  /** Combines what is on disk with the current status of the leases. */
  #withLeases({ state, refs }: NonNullable<DiskObservation['observed']>): Observation {
    const { leases, modes, observed, unleasedMaxAgeMs } = this.#options
    const { commonDir } = state.repository
    const status = leases.statusOf(commonDir)
    const { open, openings, changes } = status
    const common = unleasedState(state.repository, status)
    const capabilities: ObservedState = { ...state.capabilities, ...common }
    if (refs && refs !== 'directories') {
      const { token, unsettledMs, allLoose, details } = refs
      observed?.(unsettledMs > 0 ? 'unsettled' : 'settled')
      const maxAgeMs = allLoose ? Infinity : unleasedMaxAgeMs
      return { ...state, capabilities, refs: { ...common, token, unsettledMs, maxAgeMs, details } }
    }
    const { token, unsettledMs } = state.capabilities
    observed?.(open > 0 ? 'leased' : unsettledMs > 0 ? 'unsettled' : 'settled')
    const isRuled = status.shared && modes.of(state.repository).reason === 'configured'
    const leasedRefs: ObservedState = {
      ...epochOf(status, true),
      token: `${token} ${leasedName(status, isRuled)}`,
      unsettledMs: open > 0 ? Infinity : unsettledMs,
      generation: changes,
      openings,
      maxAgeMs: unleasedMaxAgeMs,
      subject: common.subject,
      // What an open lease changes is not known before its end.
      ...(open === 0 && leases.changedSince
        ? { details: new LeasedRefs((before) => leases.changedSince?.(commonDir, before)) }
        : undefined),
    }
    return { ...state, capabilities, refs: leasedRefs }
  }
}

/** The part of a state that the disk alone names: no open lease makes it unsettled, and it has no age limit. */
const unleasedState = (
  repository: Repository,
  status: LeaseStatus,
): Omit<ObservedState, 'token' | 'unsettledMs'> & { subject: string } => ({
  ...epochOf(status, false),
  generation: status.changes,
  openings: 0,
  maxAgeMs: Infinity,
  subject: identityOf(repository),
})

/** Names generation and openings as all nodes of a fleet do; undefined: there is no fleet. */
function epochOf(status: LeaseStatus, withOpenings: boolean): Pick<ObservedState, 'epoch'> | undefined {
  const { shared } = status
  if (!shared) return undefined
  return { epoch: `${changesNameOf(status)}${withOpenings ? ` ${shared.openings}` : ''}` }
}

/** Names what the leases tell, where they decide. @param isRuled are all nodes in the mode `lease`? */
function leasedName({ incarnation, shared }: LeaseStatus, isRuled = false): string {
  if (!shared) return incarnation
  return `${incarnation} ${shared.changes}${isRuled ? '' : ` ${shared.openings}`}`
}
