import type { FleetFills, SharedFillEnd } from '../../fleet/fills/shared-fill.js'
import type { BackOff } from '../../limits/back-off.js'
import type { Entry, FillResult } from '../../streamcache/index.js'
import { unlessBackingOff } from '../faults/backing-off.js'
import { isCounted } from '../faults/faults.js'
import { FleetRun, type FleetRunRequest } from './fleet-run.js'

/** The files of committed entries, where all nodes may open them. */
export interface SharedFiles {
  /** Returns where the body of a committed entry is; undefined: it is not on disk. */
  pathOf(entry: Entry): string | undefined
  /** Commits an entry whose body another node has stored; false: it cannot be opened, or is another one. */
  adopt(
    key: string,
    token: string,
    stored: { readonly path: string; readonly length: number; readonly sha256: string },
  ): Promise<boolean>
}

export interface FleetRunsOptions {
  readonly fills: FleetFills
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  /**
   * Do all nodes name a state alike? Nodes on one host do. Others see other device numbers and programs: there an entry of any
   * state counts as published, and the node that is asked for it finds out by itself whether it is the newest.
   */
  readonly statesAreShared: boolean
  /** undefined: nodes cannot open one another's files. */
  readonly files?: SharedFiles | undefined
}

/** A fill that is to be run, by the names that this process has for it. */
export interface OwnFill {
  /** Of the entry, and of the back-off. */
  readonly key: string
  /** Names the state in which a failure blocks further tries. */
  readonly state: string
  /** The entry's token; undefined: the state is unsettled. */
  readonly token: string | undefined
}

/** What of a state is named where nodes name states in different ways. */
const anyState = 'settled'

/** The fills of one cache that other nodes of the fleet may make instead, or follow. */
export class FleetRuns {
  readonly #options: FleetRunsOptions
  readonly #runs = new WeakMap<Entry, FleetRun>()

  constructor(options: FleetRunsOptions) {
    this.#options = options
  }

  /** Plans a run, which claims its key when it begins. What is run here backs off after failures (R7). */
  plan(fill: Pick<OwnFill, 'key' | 'state'>, request: FleetRunRequest): FleetRun {
    const { fills, backOff, statesAreShared } = this.#options
    const { state, produce } = request
    return new FleetRun(fills, {
      ...request,
      state: state === undefined || statesAreShared ? state : anyState,
      isRepaired: backOff.hasFailedOtherwise(fill.key, fill.state),
      produce: unlessBackingOff(backOff, fill.key, fill.state, produce),
    })
  }

  /** May entries of other nodes be opened? */
  get mayFind(): boolean {
    return this.#options.files !== undefined && this.#options.statesAreShared
  }

  /** Opens the entry that another node has committed. false: there is none, and the run holds what it has claimed. */
  async find(run: FleetRun, { key, token }: Pick<OwnFill, 'key' | 'token'>): Promise<boolean> {
    const { files } = this.#options
    if (!files || token === undefined) return false
    const { path, sha256, length } = (await run.find()) ?? {}
    if (path === undefined || sha256 === undefined || length === undefined) return false
    const isAdopted = await files.adopt(key, token, { path, sha256, length }).catch(() => false)
    if (isAdopted) run.ended({ kind: 'nothing' })
    return isAdopted
  }

  /** To be called when the engine has begun the fill, after what reports its end to the back-off. */
  started(run: FleetRun, entry: Entry, ended: Promise<FillResult>, { key, state }: OwnFill): void {
    this.#runs.set(entry, run)
    void ended.then((result) => run.ended(this.#endOf(entry, result, key, state)))
  }

  /** Does another node make the bytes of a fill, as far as is known? */
  isBorrowed(entry: Entry): boolean {
    return this.#runs.get(entry)?.isBorrowed ?? false
  }

  /** As `FillRequest.mayWaitFor`. @throws PeerRefused */
  mayWaitFor(entry: Entry, isForPeer: boolean): boolean {
    return this.#runs.get(entry)?.mayWaitFor(isForPeer) ?? true
  }

  #endOf(entry: Entry, result: FillResult, key: string, state: string): SharedFillEnd {
    const { backOff, files } = this.#options
    if (result === 'committed') {
      const { length, sha256 } = entry
      const path = files?.pathOf(entry)
      return { kind: 'entry', entry: { length, ...(sha256 && { sha256 }), ...(path && { path }) } }
    }
    const { error } = entry
    const failures = result === 'failed' && isCounted(error) ? backOff.failuresOf(key, state) : undefined
    if (!failures) return { kind: 'nothing' }
    const { count: attempt, retryAfterMs } = failures
    return { kind: 'failure', error, attempt, retryAfterMs }
  }
}
