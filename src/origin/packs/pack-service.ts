import { setTimeout as sleep } from 'node:timers/promises'
import { settleWaitMaxMs } from '../../freshness/observed-state.js'
import type { Reading } from '../../freshness/fresh-cache.js'
import { PeerRefused } from '../../fleet/peers/peer.js'
import { packKey, type PackCache, type PackRequest } from '../../freshness/pack-cache.js'
import { tracedPack } from '../../freshness/traced-requests.js'
import type { FetchRequest } from '../../git/protocol/fetch-request.js'
import type { BackOff } from '../../limits/back-off.js'
import { Overloaded } from '../../limits/overloaded.js'
import type { Entry, Fill, Producer } from '../../streamcache/index.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import { unlessBackingOff } from '../faults/backing-off.js'
import { causeOf, refusalOf } from '../faults/faults.js'
import type { FillReports } from '../faults/fill-reports.js'
import type { FleetRuns } from '../peers/fleet-runs.js'
import { ageForPeer } from '../peers/shared-identity.js'
import type { Target } from '../target.js'
import type { PackAnswer, PackClient } from '../pack-answer.js'
import type { PassedReason } from '../pack-answer.js'
import type { PackReports } from './pack-reports.js'
import type { PackSource, PackState } from './pack-source.js'
import { sharedPackRequest } from './shared-pack-request.js'

export interface PackServiceOptions {
  /** false: every fetch passes through. */
  readonly enabled: boolean
  readonly source: PackSource
  /** What makes the packs; left out: Git. */
  readonly producer?: 'upstream' | undefined
  readonly cache: PackCache
  readonly fillReports: FillReports
  readonly reports: PackReports
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  /** The fills that other nodes may make instead; left out: there are no other nodes. */
  readonly fleet?: FleetRuns | undefined
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
}

/** What another node says of a fetch besides the fetch itself. */
export interface PeerTerms {
  /** Was its client admitted, so that it must not be shed? */
  readonly admitted: boolean
  /** As `SharedPack.identity`. */
  readonly identity: string
  /** As `DiskQuestion.maxAgeMs`. */
  readonly maxAgeMs?: number | undefined
}

/** A pack for another node. */
export interface PeerPack {
  readonly reading: Reading
  /** Asked for after the follower's end: what the other node needs to keep it. */
  readonly notes: () => { readonly sound: boolean; readonly ageMs: number }
}

/**
 * Answers fetches: requests that ask for the same, of the same repository in the same state, share one run of Git, or one
 * upstream request (R1, R9). Access is checked by the caller, for each request.
 */
export class PackService {
  readonly #options: PackServiceOptions
  /** Did the answers of fills end as packs should? Left out: those that are kept did. */
  readonly #sound = new WeakMap<Entry, boolean>()

  constructor(options: PackServiceOptions) {
    this.#options = options
  }

  /**
   * Returns the answer to a fetch. undefined: it must pass through, which is counted.
   * @throws what the source throws, BackingOff, Overloaded, FillError
   */
  async fetch(target: Target, asked: FetchRequest, client: PackClient): Promise<PackAnswer | undefined> {
    const { enabled, source } = this.#options
    if (!enabled) return this.passed('off')
    for (let isSecond = false; ; isSecond = true) {
      const state = await source.stateOf(target, asked)
      if (typeof state === 'string') return this.passed(state)
      client.throwIfAborted()
      const { unsettledMs } = state
      if (unsettledMs === 0) return this.#read(state, client)
      if (isSecond || unsettledMs > settleWaitMaxMs) return this.passed('unsettled')
      await sleep(unsettledMs)
    }
  }

  /**
   * Answers another node, which has checked access.
   * @throws PeerRefused if it cannot be shared here, or is of another repository; what the source throws
   */
  async readForPeer(
    target: Target,
    asked: FetchRequest,
    { admitted, identity, maxAgeMs: askedMs }: PeerTerms,
  ): Promise<PeerPack> {
    const { enabled, source, cache } = this.#options
    if (!enabled) throw new PeerRefused('different', 'packs are not shared here')
    for (let isSecond = false; ; isSecond = true) {
      const state = await source.stateOf(target, asked, true)
      if (typeof state === 'string') throw new PeerRefused('different', `packs are not shared (${state})`)
      if (state.shared().identity !== identity)
        throw new PeerRefused('different', 'the repository is another one here')
      const { unsettledMs, maxAgeMs } = state
      if (unsettledMs === 0) {
        const forPeer = { ...state, maxAgeMs: ageForPeer(state, askedMs) }
        const reading = await this.#readFrom(cache, this.#requestFor(forPeer, { admitted }, true))
        const { entry } = reading
        const ageMs = maxAgeMs === Infinity ? 0 : cache.ageMsOf(entry)
        return { reading, notes: () => ({ sound: this.#sound.get(entry) ?? true, ageMs }) }
      }
      if (isSecond || unsettledMs > settleWaitMaxMs)
        throw new PeerRefused('elsewhere', 'the state cannot be named now')
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
  async #read(state: PackState, client: PackClient): Promise<PackAnswer> {
    const { cache, reports } = this.#options
    for (let tries = 1; ; tries++) {
      const reading = await this.#readFrom(cache, this.#requestFor(state, client))
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

  #readFrom(cache: PackCache, request: PackRequest): Reading | Promise<Reading> {
    const { tracing } = this.#options
    return tracing ? tracing.waiting(() => cache.read(tracedPack(request, tracing))) : cache.read(request)
  }

  #requestFor(state: PackState, { admitted }: Pick<PackClient, 'admitted'>, isForPeer = false): PackRequest {
    const { backOff, fillReports, reports, fleet } = this.#options
    const { repository, name, maxAgeMs } = state
    const key = packKey(name, repository)
    let entry: Entry | undefined
    let isSound = false
    let runs = 0
    const ended = (sound: boolean): void => {
      isSound = sound
      if (entry) this.#sound.set(entry, sound)
    }
    const finished = (cpuSeconds: number | undefined): void => {
      if (entry && cpuSeconds !== undefined) reports.spent(entry, cpuSeconds)
    }
    // The clients that wait for a fill which is tried again have been admitted.
    const make: Producer = (signal) =>
      state.make({ signal, admitted: admitted || runs++ > 0, ended, finished })
    const request: PackRequest = {
      repository,
      name,
      maxAgeMs,
      producer: unlessBackingOff(backOff, key, name, make),
      confirm: async () => isSound && (await state.holds()),
      fillStarted: (fill: Fill) => {
        entry = fill.entry
        if (fleet) this.#sound.set(entry, isSound)
        const { entry: filled, ended } = fill
        const producer = () => (fleet?.isBorrowed(filled) ? 'peer' : (this.#options.producer ?? 'git'))
        fillReports.started({ kind: 'pack', producer, entry: filled, state: name, ended })
      },
    }
    return fleet ? sharedPackRequest(fleet, request, { state, make, ended, admitted, isForPeer }) : request
  }
}
