import { randomUUID } from 'node:crypto'
import type { ObservationSettings, RepositoryState } from '../git/state/repository-state.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'
import { identityOf, type RepositoryRefusal, type Repository } from '../git/state/repository.js'
import { Disk, type DiskObservation, type DiskOptions, type Found, type GitFacts } from './disk/disk.js'
import { Disks } from './disk/disks.js'
import type { ObservedState } from './fresh-cache.js'
import type { Leases } from './leases.js'
import type { Modes } from './disk/modes.js'
import { CoalescedObservations } from './coalesced-observations.js'

/** What is known of a repository at one moment: what the disk shows, under what leases say. */
export interface Observation extends Omit<RepositoryState, 'capabilities'> {
  /** Of all that decides the bytes of an advertisement or a ref listing. */
  readonly refs: ObservedState
  /** Of the part that decides a capability advertisement of protocol v2. */
  readonly capabilities: ObservedState
}

export interface ObserverOptions extends Omit<DiskOptions, 'guard'> {
  readonly root: RepositoriesRoot
  /** How the disk is asked; left out: on the event loop, whatever filesystem it is. */
  readonly disks?: Disks
  /** What is known of the Git in use; looks wait for it. */
  readonly settings: Promise<ObservationSettings>
  readonly leases: Leases
  readonly modes: Modes
  /** Milliseconds after which an entry is not fresh any more where leases alone decide, or not all loose refs are seen. */
  readonly unleasedMaxAgeMs: number
  readonly observed?: (result: 'settled' | 'unsettled' | 'leased' | 'missing') => void
  /** Told, by path, why something that is there is not served. */
  readonly refused?: (path: string, why: RepositoryRefusal) => void
  /** Told that files are stamped so many milliseconds ahead of the clock, which was put back. */
  readonly clockBehind?: (ms: number) => void
}

/** Timestamps so many milliseconds ahead of the clock are worth a word. */
const clockBehindMs = 1000

/**
 * observe() of R2: names the state that a repository is in, by the mode that it is in.
 *
 * By `observe`, the token is a digest of what the disk shows; leases that have ended move the generation on, open ones
 * change nothing. By `lease`, the disk tells only how the repository is configured, and its refs' state is named by the
 * leases: it is unsettled while one is open, and its end moves the generation on. Part of the token there is a name
 * made at start, since leases may have come and gone while nobody listened; and no entry answers for longer than
 * `unleasedMaxAgeMs`, a net under changes that nobody took a lease for.
 *
 * What leases say is read in one piece after the disk has been looked at. An open lease is thus seen by every look that
 * begins after it was opened; and a change under a lease that ended before this moment came before any fill that
 * follows this look.
 */
export class Observer {
  readonly #options: ObserverOptions
  readonly #disks: Disks
  readonly #facts: Promise<GitFacts>
  readonly #observations: CoalescedObservations<Observation | undefined>
  readonly #processName = randomUUID()

  constructor(options: ObserverOptions) {
    this.#options = options
    this.#disks = options.disks ?? new Disks(new Disk(options))
    this.#facts = options.settings.then(({ scopes, programs, environmentDigest }) => ({
      scopes,
      programs,
      environmentDigest,
    }))
    // Whoever looks hears of it.
    this.#facts.catch(() => {})
    this.#observations = new CoalescedObservations((path) => this.#observeOnce(path))
  }

  /** Asks the disk, wherever it is. */
  get disks(): Disks {
    return this.#disks
  }

  /**
   * What is known now of the repository that a path means, shared by all who ask meanwhile; undefined: there is none.
   * @throws FilesystemUnanswered
   */
  observe(path: string): Promise<Observation | undefined> {
    return this.#observations.observe(path)
  }

  /** The repository that a path means: at once where the disk is a local one. @throws FilesystemUnanswered */
  find(path: string): Repository | undefined | Promise<Repository | undefined> {
    const take = ({ repository, refused }: Found): Repository | undefined => {
      if (refused) this.#options.refused?.(path, refused)
      return repository
    }
    const found = this.#disks.find(path)
    return found instanceof Promise ? found.then(take) : take(found)
  }

  async #observeOnce(path: string): Promise<Observation | undefined> {
    const { modes, observed, refused, clockBehind } = this.#options
    const observation = await this.#disks.observe(path, await this.#facts, modes)
    if (observation.refused) refused?.(path, observation.refused)
    if (observation.aheadMs > clockBehindMs) clockBehind?.(observation.aheadMs)
    if (observation.observed) return this.#name(observation.observed)
    observed?.('missing')
    return undefined
  }

  /** Lays what leases say now over what the disk shows. */
  #name({ state, refs }: NonNullable<DiskObservation['observed']>): Observation {
    const { leases, observed, unleasedMaxAgeMs } = this.#options
    const { commonDir } = state.repository
    // Who took the disk to decide, as a push does until this look is done, may have ended a lease without a change.
    if (refs === 'directories') leases.invalidate(commonDir)
    const { open, openings, changes } = leases.statusOf(commonDir)
    const ofDisk = {
      generation: changes,
      openings: 0,
      maxAgeMs: Infinity,
      subject: identityOf(state.repository),
    }
    const capabilities: ObservedState = { ...state.capabilities, ...ofDisk }
    if (refs && refs !== 'directories') {
      const { token, unsettledMs, allLoose } = refs
      observed?.(unsettledMs > 0 ? 'unsettled' : 'settled')
      const maxAgeMs = allLoose ? Infinity : unleasedMaxAgeMs
      return { ...state, capabilities, refs: { ...ofDisk, token, unsettledMs, maxAgeMs } }
    }
    const { token, unsettledMs } = state.capabilities
    observed?.(open > 0 ? 'leased' : unsettledMs > 0 ? 'unsettled' : 'settled')
    const named: ObservedState = {
      token: `${token} ${this.#processName}`,
      unsettledMs: open > 0 ? Infinity : unsettledMs,
      generation: changes,
      openings,
      maxAgeMs: unleasedMaxAgeMs,
      subject: ofDisk.subject,
    }
    return { ...state, capabilities, refs: named }
  }
}
