import { setTimeout as sleep } from 'node:timers/promises'
import type { Entry, Follower, StreamCache } from '../streamcache/index.js'
import type { FillRequest, IsInMemory, PendingFillRequest } from './fill-request.js'
import { ageMsOf, beforeThisProcess, type FillOrigin } from './fill-origin.js'
import { decide, gather, type FillRound, type RoundStart } from './fill-round.js'
import { settleWaitMaxMs, type ObservedState } from './observed-state.js'
import type { Prospect } from './prospect.js'

/**
 * How a request was answered. `hit`: by a committed entry; `joined`: by a running fill; `filled`: by a fill of its own;
 * `gathered`: it waited for the key's next round; `revalidated`: by a committed entry that the upstream has confirmed.
 */
export type Reuse = 'hit' | 'joined' | 'filled' | 'gathered' | 'revalidated'

export interface Reading {
  readonly entry: Entry
  /** Attached to the entry; the caller must close it. */
  readonly follower: Follower
  readonly reuse: Reuse
  /** Milliseconds since the origin was asked; left out: no answer is newer. */
  readonly ageMs?: number
  /** Is the entry older than allowed, because its origin cannot be asked? */
  readonly isStale?: boolean
}

type Hit = Omit<Reading, 'reuse'>

/**
 * Decides whether an entry may answer (R2): observe, compare, fill, observe again, commit.
 *
 * Why an answer is never stale. A request's observation begins after the request arrived. A committed entry answers only
 * if its token and generation are those of the observation. Its fill ran between two observations that gave these, with
 * no lease opened in between; and the time from the second of them to the request's observation also lies between two
 * observations that gave the same. So from the start of the fill until after the request arrived nothing changed, or it
 * was reverted before any reader saw it. A running fill is joined under the same condition, but for its first observation
 * alone: what the fill had read before the request arrived was still true then, and what it reads later is newer. In every
 * other case, and always while the state is unsettled, the request gets a fill that starts after it arrived. An entry made
 * while the state is unsettled is never kept: it has no state token.
 *
 * Bytes that another node has made (a fleet) come within a fill as any other. The other node is asked after the fill's first
 * observation, and observes by itself after it was asked; what it answers is true at that moment or later, by the argument
 * above, and has ended before the fill's second observation. So the entry reflects a state between two observations of
 * this process, and no timestamp or token of the other node is relied on. Where entries age (`maxAgeMs`), the other node
 * answers from entries of at most half that age; until the fill's end tells how old the bytes are (`ageMs`), they count as so
 * old. An entry whose file is opened (`find`) stands for this very state: another process has committed it by the same rule.
 *
 * Why processes are bounded. A key has one round at a time. A request that may not use the running fill gathers with
 * others, and all of them share the next round, which begins at the instant at which the running round ends, before any
 * later request can start one. So at most one fill runs per key, whatever the state does and for however long, and no
 * request waits for more than the rest of one fill and the whole of another: none starves.
 */
export class FreshCache {
  readonly #cache: StreamCache
  readonly #rounds = new Map<string, FillRound>()
  readonly #origins = new WeakMap<Entry, FillOrigin>()

  constructor(cache: StreamCache) {
    this.#cache = cache
  }

  /**
   * Reads bytes that are no older than `state`, which must come from an observation that began after the request
   * arrived. Returns at once if a committed entry in memory answers; `makeRequest` is called only otherwise.
   * @throws what observe() throws, or the fill's error; or rejects with it
   */
  read(
    key: string,
    state: ObservedState,
    makeRequest: () => FillRequest,
    isInMemory?: IsInMemory,
  ): Reading | Promise<Reading> {
    const hit = this.#hit(key, state, isInMemory)
    if (!hit || hit instanceof Promise) return this.#answer(key, state, { ...makeRequest(), isInMemory }, hit)
    return { ...hit, reuse: 'hit' }
  }

  async #answer(
    key: string,
    observed: ObservedState,
    request: PendingFillRequest,
    loading?: Promise<Hit | undefined>,
  ): Promise<Reading> {
    const loaded = await loading
    if (loaded) return { ...loaded, reuse: 'hit' }
    // What an earlier process left may answer.
    const { listing } = this.#cache
    if (listing) await listing
    let state = await settle(observed, request)
    let gathered = false
    let mayFind = true
    for (;;) {
      // No other code runs between two awaits: each decision below is based on one state of the cache.
      for (
        let hit = this.#hit(key, state, request.isInMemory);
        hit;
        hit = this.#hit(key, state, request.isInMemory)
      ) {
        const found = await hit
        if (found) return { ...found, reuse: gathered ? 'gathered' : 'hit' }
      }
      const round = this.#rounds.get(key)
      if (!round) {
        if (!mayFind || !isFindable(request, state))
          return follow(this.#fill(key, state, request, {}), 'filled')
        // What was found and cannot be read is not looked for again.
        mayFind = false
        const reading = await this.#fillUnlessFound(key, state, request)
        if (reading) return reading
        continue
      }
      if (round.finding) {
        await round.finding
        continue
      }
      const { entry } = round
      const mayFollow = entry !== undefined && (request.mayWaitFor?.(entry) ?? true)
      if (mayFollow && entry.joinable && this.mayJoin(entry, state)) return follow(entry, 'joined')
      round.gathering = gather(request, round.gathering)
      // Slow followers of this fill must not delay the requests that wait for the next one.
      round.entry?.hurry()
      const start = await round.gathering.start
      gathered = true
      // Another request for the same key may have observed another subject.
      const isSame = start.state.subject === state.subject
      if (start.entry && isSame) return follow(start.entry, 'gathered')
      state = isSame ? { ...start.state, maxAgeMs: state.maxAgeMs } : await request.observe()
    }
  }

  /** Returns what is committed under a key, fresh or not. */
  committed(key: string): Entry | undefined {
    return this.#cache.get(key)
  }

  /** Returns how a request would be answered that has observed this state, for display. */
  explain(key: string, state: ObservedState): Prospect {
    const entry = this.#cache.get(key)
    if (entry && this.#matches(entry, state)) return 'hit'
    const round = this.#rounds.get(key)
    if (round) return round.entry?.joinable && this.mayJoin(round.entry, state) ? 'join' : 'gather'
    if (state.unsettledMs > 0) return 'unsettled'
    if (!entry) return 'nothing-kept'
    return entry.token === state.token ? 'outdated' : 'changed'
  }

  /** Removes what is committed under a key, so that it does not come back after a restart either. */
  forget(key: string): void {
    this.#cache.erase(key)
    const round = this.#rounds.get(key)
    if (round?.entry || round?.finding) round.forgotten = true
  }

  /** Returns the milliseconds since the fill of an entry began, and what its bytes were old then. */
  ageMsOf(entry: Entry): number {
    return ageMsOf(this.#origins.get(entry) ?? beforeThisProcess)
  }

  /** May a request follow a running fill? Protected, so that tests can show what a wrong rule leads to. */
  protected mayJoin(entry: Entry, state: ObservedState): boolean {
    // What the fill reads after a lease was opened may be taken back before the lease ends.
    return this.#origins.get(entry)?.openings === state.openings && this.#matches(entry, state)
  }

  /** Did an entry's fill begin in this state, and recently enough? */
  #matches(entry: Entry, { token, unsettledMs, generation, maxAgeMs }: ObservedState): boolean {
    if (unsettledMs > 0 || entry.token !== token) return false
    const origin = this.#origins.get(entry) ?? beforeThisProcess
    // A fill of a later generation began after this observation.
    return origin.generation >= generation && ageMsOf(origin) <= maxAgeMs
  }

  /**
   * Returns a follower of the committed entry if that entry stands for this state; a promise while the entry is being
   * loaded, which resolves to undefined if the entry cannot be read and so no longer answers.
   */
  #hit(
    key: string,
    state: ObservedState,
    isInMemory: IsInMemory | undefined,
  ): Hit | Promise<Hit | undefined> | undefined {
    const entry = this.#cache.get(key)
    if (!entry || !this.#matches(entry, state)) return undefined
    // Attached before the entry is loaded, so that an eviction meanwhile does not take its bytes away.
    const follower = entry.follow()
    const loaded = isInMemory?.(entry) || entry.load()
    if (loaded === true) return { entry, follower }
    return Promise.resolve(loaded).then((isReadable) => {
      if (isReadable) return { entry, follower }
      follower.close()
      this.#cache.discard(entry)
      return undefined
    })
  }

  /** Fills in a round of its own; undefined: the entry was found, and is committed. */
  async #fillUnlessFound(
    key: string,
    state: ObservedState,
    request: PendingFillRequest,
  ): Promise<Reading | undefined> {
    const round: FillRound = {}
    this.#rounds.set(key, round)
    if (!(await this.#find(key, state, request, round)))
      return follow(this.#fill(key, state, request, round), 'filled')
    this.#endRound(key, round)
    return undefined
  }

  /** Looks in a round for the entry that another process has made of a state. Never rejects. */
  async #find(
    key: string,
    state: ObservedState,
    request: PendingFillRequest,
    round: FillRound,
  ): Promise<boolean> {
    const { token, generation, openings } = state
    round.finding = new Promise((resolve) => (round.decided = resolve))
    const isFound = await request.find!(state).catch(() => false)
    if (round.forgotten) this.#cache.erase(key)
    round.forgotten = false
    const entry = isFound ? this.#cache.get(key) : undefined
    if (entry?.token !== token) return false
    this.#origins.set(entry, { generation, openings, atMs: performance.now() })
    return true
  }

  #fill(key: string, state: ObservedState, request: PendingFillRequest, round: FillRound): Entry {
    const { unsettledMs, generation, openings } = state
    const token = unsettledMs === 0 ? state.token : undefined
    const ageMs = request.ageMs && (() => request.ageMs!(state))
    const origin: FillOrigin = { generation, openings, atMs: performance.now(), ageMs }
    const isUnchanged = async (): Promise<boolean> => {
      if (ageMs) this.#origins.set(entry, { generation, openings, atMs: origin.atMs - ageMs() })
      const stateAfter = await request.observe()
      return stateAfter.openings === openings && this.#matches(entry, stateAfter)
    }
    // An entry of the same state that is no hit has passed its age: without removal this fill would end as a loser.
    if (token !== undefined && this.#cache.get(key)?.token === token) this.#cache.remove(key)
    const { entry, ended } = this.#cache.fill(key, token, request.producer(state), isUnchanged)
    this.#origins.set(entry, origin)
    request.fillStarted?.(entry, state, ended)
    round.entry = entry
    decide(round)
    this.#rounds.set(key, round)
    void ended.then(() => {
      if (round.forgotten) this.#cache.erase(key)
      this.#endRound(key, round)
    })
    return entry
  }

  #endRound(key: string, round: FillRound): void {
    decide(round)
    const { gathering } = round
    if (!gathering) {
      this.#rounds.delete(key)
      return
    }
    // Requests from here on gather for the round after this one, whose observation is about to begin.
    const next: FillRound = {}
    this.#rounds.set(key, next)
    gathering.resolve(this.#startRound(key, next, gathering.request))
  }

  async #startRound(key: string, round: FillRound, request: PendingFillRequest): Promise<RoundStart> {
    try {
      const state = await settle(await request.observe(), request)
      // Often the round before has just committed this very state.
      let committed = await this.#hit(key, state, request.isInMemory)
      if (!committed && isFindable(request, state) && (await this.#find(key, state, request, round)))
        committed = await this.#hit(key, state, request.isInMemory)
      if (!committed) return { state, entry: this.#fill(key, state, request, round) }
      committed.follower.close()
      this.#endRound(key, round)
      return { state, entry: undefined }
    } catch (error) {
      this.#endRound(key, round)
      throw error
    }
  }
}

/** May another process have made an entry of this state, so that it is looked for before a fill begins? */
const isFindable = ({ find }: PendingFillRequest, { unsettledMs, maxAgeMs }: ObservedState): boolean =>
  find !== undefined && unsettledMs === 0 && maxAgeMs === Infinity

const follow = (entry: Entry, reuse: Reuse): Reading => ({ entry, follower: entry.follow(), reuse })

/**
 * Waits once, and observes again, if the state is too young by a few milliseconds only: then the entry can be kept, and
 * answers later requests too.
 */
async function settle(state: ObservedState, request: PendingFillRequest): Promise<ObservedState> {
  if (state.unsettledMs === 0 || state.unsettledMs > settleWaitMaxMs) return state
  await sleep(state.unsettledMs)
  return request.observe()
}
