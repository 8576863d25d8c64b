import { setTimeout as sleep } from 'node:timers/promises'
import type { Entry, FillResult, Follower, Producer, StreamCache } from '../streamcache/index.js'

/** What is known, at one moment, of the state that an entry's bytes depend on. */
export interface ObservedState {
  /** Equal tokens of equal generations: nothing changed between the two moments. */
  readonly token: string
  /** 0: settled. Otherwise, milliseconds after which the same sight could be trusted; Infinity: nobody knows. */
  readonly unsettledMs: number
  /** Moves on when somebody says that the state has changed, whatever the token says. */
  readonly generation: number
  /** Moves on when a change may have begun that may also be taken back. */
  readonly openings: number
  /** Milliseconds after which what was read then is not trusted any more, were it unchanged as far as anybody knows. */
  readonly maxAgeMs: number
  /** Which thing it is that was seen, where different things may come under one key; never part of what is compared. */
  readonly subject?: string
}

/** How to find out what a key's bytes depend on, and how to make them. */
export interface FillRequest {
  /** A look that begins after the call. @throws if there is nothing to look at, or another subject than before */
  observe(): Promise<ObservedState>
  /** What makes the bytes in the state that was seen. */
  producer(seen: ObservedState): Producer
  /** Told when a fill for this question starts, and in which state; `ended` resolves when it ends. Must not throw. */
  fillStarted?(entry: Entry, seen: ObservedState, ended: Promise<FillResult>): void
}

/** Does somebody hold what a committed entry says in memory, so that it need not be loaded? */
export type IsInMemory = (entry: Entry) => boolean

/** How an answer came about: from a committed entry, by joining a fill, by starting one, by waiting for the next. */
export type Reuse = 'hit' | 'joined' | 'filled' | 'gathered'

export interface Reading {
  readonly entry: Entry
  /** Attached to the entry; the caller closes it. */
  readonly follower: Follower
  readonly reuse: Reuse
}

type Hit = Omit<Reading, 'reuse'>
type PendingFillRequest = FillRequest & { readonly isInMemory: IsInMemory | undefined }

/** States younger than this many milliseconds are waited out; it covers a timer tick, not whole seconds. */
const settleWaitMaxMs = 25

/** What a turn begins with: what it saw, and the fill that it started for it, if it needed one. */
interface RoundStart {
  readonly state: ObservedState
  readonly entry: Entry | undefined
}

/** Those who wait for a key's next turn. */
interface Gathering {
  readonly request: PendingFillRequest
  readonly start: Promise<RoundStart>
  readonly resolve: (start: Promise<RoundStart>) => void
}

/** When a fill began, by generation and by the process's clock in milliseconds. */
interface FillOrigin {
  readonly generation: number
  readonly openings: number
  readonly atMs: number
}

/** Of entries that an earlier process made. */
const beforeThisProcess: FillOrigin = { generation: 0, openings: 0, atMs: -Infinity }

/** A key's turn: one look and at most one fill. */
interface FillRound {
  /** undefined while it is still looking at the state that it will fill for. */
  entry?: Entry
  gathering?: Gathering
  /** What its fill makes is not to be kept, even if that is just being done. */
  forgotten?: boolean
}

/**
 * Decides whether an entry may answer (R2): observe, compare, fill, observe again, commit.
 *
 * Why an answer is never stale. A request's look begins after the request arrived. A committed entry answers only if
 * its token and generation are the look's: its fill ran between two looks that gave these, with no lease opened in
 * between, and so did the time from the second of them to this look, so nothing has changed from the fill's start until
 * after the request's arrival, or it has been taken back unseen. A running fill is joined under the same condition with
 * its first look alone: what it has read by then was still so when the request arrived, and what it reads later is
 * newer. In any other case, and always while the state is unsettled, the request gets a fill that starts after it
 * arrived, and what that makes is not kept: it has no name. An unsettled time leaves nothing behind for the time after.
 *
 * Why processes are bounded. A key has one turn at a time. Whoever may not use what runs gathers, and all who have
 * gathered share the next turn, which begins in the same instant as this one ends, whatever newcomers want. So at most
 * one fill runs per key, whatever the state does and for however long, and nobody waits for more than the rest of one
 * fill and the whole of another: nobody starves.
 */
export class FreshCache {
  readonly #cache: StreamCache
  readonly #rounds = new Map<string, FillRound>()
  readonly #origins = new WeakMap<Entry, FillOrigin>()

  constructor(cache: StreamCache) {
    this.#cache = cache
  }

  /**
   * Bytes for a key that are no older than `seen`, which must come from a look that began after the request arrived: at
   * once, if they are at hand; only then it is not asked how to make them.
   * @throws what observe() throws, or the fill's error; or rejects with it
   */
  read(
    key: string,
    seen: ObservedState,
    ask: () => FillRequest,
    isInMemory?: IsInMemory,
  ): Reading | Promise<Reading> {
    const hit = this.#hit(key, seen, isInMemory)
    if (!hit || hit instanceof Promise) return this.#find(key, seen, { ...ask(), isInMemory }, hit)
    return { ...hit, reuse: 'hit' }
  }

  async #find(
    key: string,
    seen: ObservedState,
    request: PendingFillRequest,
    loading?: Promise<Hit | undefined>,
  ): Promise<Reading> {
    const loaded = await loading
    if (loaded) return { ...loaded, reuse: 'hit' }
    let state = await settle(seen, request)
    for (let gathered = false; ; gathered = true) {
      // From one await to the next nothing else runs: what is decided here rests on one state of the cache.
      for (
        let hit = this.#hit(key, state, request.isInMemory);
        hit;
        hit = this.#hit(key, state, request.isInMemory)
      ) {
        const found = await hit
        if (found) return { ...found, reuse: gathered ? 'gathered' : 'hit' }
      }
      const round = this.#rounds.get(key)
      if (!round) return follow(this.#fill(key, state, request, {}), 'filled')
      if (round.entry?.joinable && this.mayJoin(round.entry, state)) return follow(round.entry, 'joined')
      round.gathering ??= gather(request)
      // Those who follow this fill shall not hold up those who wait for the next.
      round.entry?.hurry()
      const start = await round.gathering.start
      // Another who asked for the same key may have asked for another subject.
      const isSame = start.state.subject === state.subject
      if (start.entry && isSame) return follow(start.entry, 'gathered')
      state = isSame ? start.state : await request.observe()
    }
  }

  /** What is committed under a key, fresh or not. */
  committed(key: string): Entry | undefined {
    return this.#cache.get(key)
  }

  /** Throws away what is committed under a key, so that it does not come back after a restart either. */
  forget(key: string): void {
    this.#cache.erase(key)
    const round = this.#rounds.get(key)
    if (round?.entry) round.forgotten = true
  }

  /** May a request follow a fill that runs? Open to tests, which show what comes of another answer. */
  protected mayJoin(entry: Entry, state: ObservedState): boolean {
    // What it read after a lease was opened may be taken back before that ends.
    return this.#origins.get(entry)?.openings === state.openings && this.#matches(entry, state)
  }

  /** Was an entry's fill begun in the state that is seen now? */
  #matches(entry: Entry, { token, unsettledMs, generation, maxAgeMs }: ObservedState): boolean {
    if (unsettledMs > 0 || entry.token !== token) return false
    const birth = this.#origins.get(entry) ?? beforeThisProcess
    // One of a later generation was begun after this was seen.
    return birth.generation >= generation && performance.now() - birth.atMs <= maxAgeMs
  }

  /**
   * A follower of the committed entry, if that stands for this state; a promise while it is being loaded, which gives
   * undefined if it is damaged, and then it is gone.
   */
  #hit(
    key: string,
    state: ObservedState,
    isInMemory: IsInMemory | undefined,
  ): Hit | Promise<Hit | undefined> | undefined {
    const entry = this.#cache.get(key)
    if (!entry || !this.#matches(entry, state)) return undefined
    // Attached before it is loaded, so that an eviction meanwhile does not take it away.
    const follower = entry.follow()
    const loaded = isInMemory?.(entry) || entry.load()
    if (loaded === true) return { entry, follower }
    return Promise.resolve(loaded).then((sound) => {
      if (sound) return { entry, follower }
      follower.close()
      this.#cache.discard(entry)
      return undefined
    })
  }

  #fill(key: string, state: ObservedState, request: PendingFillRequest, round: FillRound): Entry {
    const { token, unsettledMs, generation, openings } = state
    const unchanged = async (): Promise<boolean> => {
      const second = await request.observe()
      return second.openings === openings && this.#matches(entry, second)
    }
    const name = unsettledMs === 0 ? token : undefined
    // Of the same token and yet no hit: its time has passed, so this fill is not made in vain.
    if (name !== undefined && this.#cache.get(key)?.token === name) this.#cache.remove(key)
    const { entry, ended } = this.#cache.fill(key, name, request.producer(state), unchanged)
    this.#origins.set(entry, { generation, openings, atMs: performance.now() })
    request.fillStarted?.(entry, state, ended)
    round.entry = entry
    this.#rounds.set(key, round)
    void ended.then(() => {
      if (round.forgotten) this.#cache.erase(key)
      this.#endRound(key, round)
    })
    return entry
  }

  #endRound(key: string, { gathering }: FillRound): void {
    if (!gathering) {
      this.#rounds.delete(key)
      return
    }
    // From here on newcomers gather for the turn after this one: this one's look is about to begin.
    const round: FillRound = {}
    this.#rounds.set(key, round)
    gathering.resolve(this.#startRound(key, round, gathering.request))
  }

  async #startRound(key: string, round: FillRound, request: PendingFillRequest): Promise<RoundStart> {
    try {
      const state = await settle(await request.observe(), request)
      // Often the turn before has just committed this very state.
      const committed = await this.#hit(key, state, request.isInMemory)
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

const follow = (entry: Entry, reuse: Reuse): Reading => ({ entry, follower: entry.follow(), reuse })

function gather(request: PendingFillRequest): Gathering {
  let resolve!: Gathering['resolve']
  const start = new Promise<RoundStart>((settled) => (resolve = settled))
  return { request, start, resolve }
}

/**
 * A state that is only a clock's tick too young is waited out once: a few milliseconds buy an entry that everybody
 * after this request can share.
 */
async function settle(state: ObservedState, request: PendingFillRequest): Promise<ObservedState> {
  if (state.unsettledMs === 0 || state.unsettledMs > settleWaitMaxMs) return state
  await sleep(state.unsettledMs)
  return request.observe()
}
