import { setTimeout as sleep } from 'node:timers/promises'
import type { ObjectsObservation } from '../disk/observation/observer.js'
import { settleWaitMaxMs } from '../../freshness/observed-state.js'
import { packKey, type PackCache, type PackRequest } from '../../freshness/pack-cache.js'
import type { Reading } from '../../freshness/fresh-cache.js'
import type { Git } from '../../git/process/git.js'
import { packFor } from '../../git/process/pack-process.js'
import type { FetchRequest } from '../../git/protocol/fetch-request.js'
import type { Repository } from '../../git/state/repository.js'
import type { BackOff } from '../../limits/back-off.js'
import { Overloaded } from '../../limits/overloaded.js'
import type { Entry, Fill, Follower } from '../../streamcache/index.js'
import { unlessBackingOff } from '../backing-off.js'
import { causeOf, refusalOf } from '../faults.js'
import type { FillReports } from '../fill-reports.js'
import type { PackNames, PackState } from '../disk/pack-names.js'
import type { PackReports, PassedReason } from './pack-reports.js'
import type { ServedRepositories } from '../disk/served-repositories.js'
import type { Target } from '../target.js'

export interface PackServiceOptions {
  /** false: every fetch passes through. */
  readonly enabled: boolean
  readonly git: Git
  readonly served: ServedRepositories
  readonly names: PackNames
  readonly cache: PackCache
  readonly fillReports: FillReports
  readonly reports: PackReports
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
}

/** The client of a fetch. */
export interface PackClient {
  /** Was its GET admitted? Then its fill is queued where others are shed. */
  readonly admitted: boolean
  /** Called with each follower that reads for it, to be closed when the client leaves. */
  attached(follower: Follower): void
  /** @throws if the client has left */
  throwIfAborted(): void
}

/** An answer whose first bytes are there; null: it is empty. The caller closes the follower. */
export interface PackAnswer extends Reading {
  readonly first: Buffer | null
}

/**
 * Answers fetches: requests that ask for the same, of the same repository in the same state, share one run of Git (R1, R9).
 * Access is checked by the caller, for each request.
 */
export class PackService {
  readonly #options: PackServiceOptions

  constructor(options: PackServiceOptions) {
    this.#options = options
  }

  /**
   * Returns the answer to a fetch. undefined: it must pass through, which is counted.
   * @throws RepositoryNotFound, RepositoryExchanged, ServiceDisabled, FilesystemUnanswered, BackingOff, Overloaded,
   * FillError
   */
  async fetch(target: Target, asked: FetchRequest, client: PackClient): Promise<PackAnswer | undefined> {
    const { enabled, served, names } = this.#options
    if (!enabled) return this.passed('off')
    for (let isSecond = false; ; isSecond = true) {
      const observed = await served.observeObjects(target)
      const serving = await served.servingConfig(observed)
      if (serving.objectFormat !== asked.objectFormat) return this.passed('format')
      if (mayHaveHook(observed)) return this.passed('hook')
      const state = await names.stateOf(target, asked, observed)
      client.throwIfAborted()
      const { unsettledMs } = state
      if (unsettledMs === 0) return this.#read(target, asked, observed.repository, state, client)
      if (isSecond || unsettledMs > settleWaitMaxMs) return this.passed('unsettled')
      await sleep(unsettledMs)
    }
  }

  /** Counts a request that passes through. */
  passed(reason: PassedReason): undefined {
    this.#options.reports.passed(reason)
  }

  /**
   * Attaches to the answer and waits for its first bytes. A follower without bytes whose fill fails gets one more try if
   * the failure may be older than its request (another request had started the fill), or if others have got bytes. An
   * admitted client that had joined the fill of one that is not admitted is not shed with it, however often (R5).
   */
  async #read(
    target: Target,
    asked: FetchRequest,
    repository: Repository,
    state: PackState,
    client: PackClient,
  ): Promise<PackAnswer> {
    const { cache, reports } = this.#options
    for (let tries = 1; ; tries++) {
      const reading = await cache.read(this.#requestFor(target, asked, repository, state, client))
      const { entry, follower, reuse } = reading
      client.attached(follower)
      try {
        const first = await follower.read()
        reports.answered(reading)
        return { ...reading, first }
      } catch (error) {
        follower.close()
        client.throwIfAborted()
        const isOthers = reuse !== 'filled'
        if (tries === 1 && (isOthers || entry.length > 0)) continue
        if (isOthers && client.admitted && causeOf(error) instanceof Overloaded) continue
        if (refusalOf(error)) reports.refused()
        throw error
      }
    }
  }

  #requestFor(
    target: Target,
    asked: FetchRequest,
    repository: Repository,
    { name, tags, maxAgeMs }: PackState,
    { admitted }: PackClient,
  ): PackRequest {
    const { git, served, names, backOff, fillReports, reports } = this.#options
    const { commonDir } = repository
    const key = packKey(name, commonDir)
    let entry: Entry | undefined
    let isSound = false
    let runs = 0
    const ended = (sound: boolean): void => void (isSound = sound)
    const finished = (cpuSeconds: number | undefined): void => {
      if (entry && cpuSeconds !== undefined) reports.spent(entry, cpuSeconds)
    }
    return {
      commonDir,
      name,
      maxAgeMs,
      // The clients that wait for a fill which is tried again have been admitted.
      producer: unlessBackingOff(backOff, key, name, (signal) =>
        packFor(git, repository, asked, signal, {
          admitted: admitted || runs++ > 0,
          ended,
          finished,
        }),
      ),
      // The tags are not looked at again: a tag more or less in a pack is no error, and the next request has the new ones.
      confirm: async () => {
        if (!isSound) return false
        const now = await names.stateOf(target, asked, await served.observeObjects(target), tags)
        return now.unsettledMs === 0 && now.name === name
      },
      fillStarted: (fill: Fill) => {
        entry = fill.entry
        fillReports.started({ kind: 'pack', entry, state: name, ended: fill.ended })
      },
    }
  }
}

/**
 * May a hook make the pack, which may look at who asks? `uploadpack.packObjectsHook` is heeded in the user's and the
 * system's configuration (git-config(1)); where any file mentions it, Git answers as without refstream.
 */
const mayHaveHook = ({ config: { mentioned } }: ObjectsObservation): boolean =>
  mentioned?.has('uploadpack.packobjectshook') ?? true
