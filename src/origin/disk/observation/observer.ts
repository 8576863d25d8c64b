import { randomUUID } from 'node:crypto'
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
import type { Leases } from '../../../freshness/leases.js'
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
  readonly leases: Leases
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
 * contains an id of this process, since leases may have been opened and ended while no process listened; and no entry
 * answers for longer than `unleasedMaxAgeMs`, in case of changes for which no lease was opened.
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
  readonly #processId = randomUUID()

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
    return observation.observed && this.#withLeases(observation.observed)
  }

  async #observeObjectsOnce(path: string): Promise<ObjectsObservation | undefined> {
    const observation = await this.#disks.observeObjects(path, await this.#facts)
    this.#report(path, observation)
    if (!observation.observed) return undefined
    const { state, objects } = observation.observed
    this.#options.observed?.(objects.unsettledMs > 0 ? 'unsettled' : 'settled')
    const generation = this.#options.leases.statusOf(state.repository.commonDir).changes
    const common = unleasedState(state.repository, generation)
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
    const { leases, observed, unleasedMaxAgeMs } = this.#options
    const { commonDir } = state.repository
    // Until this observation the disk decided, so a push may have ended its lease as unchanged.
    if (refs === 'directories') leases.invalidate(commonDir)
    const { open, openings, changes } = leases.statusOf(commonDir)
    const common = unleasedState(state.repository, changes)
    const capabilities: ObservedState = { ...state.capabilities, ...common }
    if (refs && refs !== 'directories') {
      const { token, unsettledMs, allLoose } = refs
      observed?.(unsettledMs > 0 ? 'unsettled' : 'settled')
      const maxAgeMs = allLoose ? Infinity : unleasedMaxAgeMs
      return { ...state, capabilities, refs: { ...common, token, unsettledMs, maxAgeMs } }
    }
    const { token, unsettledMs } = state.capabilities
    observed?.(open > 0 ? 'leased' : unsettledMs > 0 ? 'unsettled' : 'settled')
    const leasedRefs: ObservedState = {
      token: `${token} ${this.#processId}`,
      unsettledMs: open > 0 ? Infinity : unsettledMs,
      generation: changes,
      openings,
      maxAgeMs: unleasedMaxAgeMs,
      subject: common.subject,
    }
    return { ...state, capabilities, refs: leasedRefs }
  }
}

/** The part of a state that the disk alone names: no open lease makes it unsettled, and it has no age limit. */
const unleasedState = (
  repository: Repository,
  generation: number,
): Omit<Required<ObservedState>, 'token' | 'unsettledMs'> => ({
  generation,
  openings: 0,
  maxAgeMs: Infinity,
  subject: identityOf(repository),
})
