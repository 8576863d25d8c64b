import { randomUUID } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { systemClock, type Clock } from '../../limits/clock.js'
import { PeerRefused } from '../../fleet/peers/peer.js'
import type { Entry, Follower, StreamCache } from '../../streamcache/index.js'
import type { Reuse } from '../fresh-cache.js'
import type { LeaseStatus } from '../leases/lease.js'
import type { AgedCacheEvents, AgedReading, AgedRequest } from './aged-request.js'
import { askOnce } from './ask-once.js'
import { changedAnswer, type ChangedAnswer } from './changed-answer.js'
import { keep, type Kept } from './kept-entry.js'
import { OwedRefreshes } from './owed-refreshes.js'
import { isYoungEnough, Round, type Age, type AgeStart, type Rounds } from './round.js'

export interface AgedCacheOptions {
  readonly cache: StreamCache
  /** Returns what the leases tell of a repository now. */
  readonly statusOf: (subject: string) => Pick<LeaseStatus, 'open' | 'changes'>
  /** As in `MutatorLeases`, for refreshes without a client: read() relies on its caller. Left out: the status needs none. */
  readonly refresh?: (subject: string) => Promise<void> | undefined
  readonly clock?: Clock
  /** Returns numbers from 0 up to, but without, 1; Math.random() if left out. */
  readonly random?: () => number
  readonly events?: AgedCacheEvents
}

/** What decides whether an age satisfies a request. */
type Asked = Pick<AgedRequest, 'subject' | 'arrivedAtMs' | 'maxAgeMs'>

/**
 * Decides whether an entry may answer where an origin does not tell when its answers change. One rule: an answer may come
 * from a question to the origin that began at or after (arrival of the client's request − bound), and after the last
 * invalidation of its repository. While a mutator lease is open, the bound is 0.
 *
 * Why no answer is older. An entry's age begins with the question that made it, or with a later one that confirmed it, and
 * its generation is that of the same moment. Both are recorded before the question is asked, so a change that the origin
 * makes afterwards can only be missing from an entry whose age began before the change. A committed entry answers by the
 * rule, and so does a running question. Every other request gathers for the next question, which begins after the request
 * arrived and so satisfies the rule for whatever bound. Only if asking has failed may an entry answer that is older
 * (`staleMs`): it is then marked as stale.
 *
 * Why the origin is asked at most as often as clients ask, per key and for every trace. Each call of read() is either
 * answered by a committed entry without a question, or becomes part of exactly one round, which it never leaves for
 * another. A round asks once, and only if it was begun for such a request; that request pays for it. A refresh without a
 * client runs only if a client was answered from the entry since its age began, and takes that debt away as it begins:
 * the client's call of read(), which is part of no round, pays for it. So each question is paid for by another call of
 * read() that came before. Nothing is asked again after a failure.
 *
 * Why questions are bounded. A key has at most one question running and one gathering. The gathering one begins when the
 * running one's answer has ended, at the same moment, before any later request can begin one. So no request waits for more
 * than the rest of one answer and the whole of another.
 *
 * In a fleet, a question may be answered by another node that has its answer, or is asking. The rule then holds over both
 * nodes: the other one answers by the same rule, as if a client had asked it with a bound of `oldestMs`, and tells how long
 * before its arrival its own question had begun. The age here begins that much before the question here, which came before
 * that arrival; so it begins no later than the question that the origin has answered. Until that age is known, it counts as
 * `oldestMs`, by which requests join. What the other node knew of changes was found out after it was asked, and so is no less
 * than what is recorded here. As to the number of questions: a round that another node answers asks nothing itself, and hands
 * its payment on, to the call of read() at the other node. So in the whole fleet the origin is asked at most as often as
 * clients ask, except for this: if a node is lost after it has asked for another one, that one asks again, once each time.
 *
 * If the answer equals what is kept, the kept entry stays, and with it all forms that were derived from it. An entry that
 * an earlier process made has no age: it answers once it has been confirmed.
 */
export class AgedCache {
  readonly #cache: StreamCache
  readonly #statusOf: AgedCacheOptions['statusOf']
  readonly #refreshStatus: AgedCacheOptions['refresh']
  readonly #clock: Clock
  readonly #events: AgedCacheEvents
  readonly #rounds = new Map<string, Rounds>()
  readonly #ages = new WeakMap<Entry, Age>()
  readonly #refreshes: OwedRefreshes
  /** Distinguishes the tokens of this process from those of earlier ones: equal tokens would mean equal bytes. */
  readonly #processId = randomUUID()
  #fills = 0

  constructor(options: AgedCacheOptions) {
    this.#cache = options.cache
    this.#statusOf = options.statusOf
    this.#refreshStatus = options.refresh
    this.#clock = options.clock ?? systemClock
    this.#events = options.events ?? {}
    this.#refreshes = new OwedRefreshes({
      clock: this.#clock,
      random: options.random ?? Math.random,
      refresh: (key) => this.#refresh(key),
      dropped: (key) => this.#waive(key),
    })
  }

  /**
   * Reads an answer that satisfies the rule. Returns at once, without a promise, if a committed entry in memory or a
   * running fill answers.
   * @throws what ask() or the body's beginning throws, the fill's error, or the reason of the client's signal; or rejects
   */
  read(request: AgedRequest): AgedReading | Promise<AgedReading> {
    const { key } = request
    this.#events.clientAsked?.(key)
    const entry = this.#cache.get(key)
    const age = entry && this.#ages.get(entry)
    if (!age || !this.#maySatisfy(age, request)) return this.#share(request)
    const follower = entry.follow()
    const loaded = request.isInMemory?.(entry) || entry.load()
    if (loaded === true) return this.#hit(entry, follower, age, request)
    return Promise.resolve(loaded).then((isReadable) => {
      if (isReadable) return this.#hit(entry, follower, age, request)
      follower.close()
      this.#cache.discard(entry)
      return this.#share(request)
    })
  }

  /** Returns whether a committed entry would answer without a question. */
  mayAnswer(request: Asked & Pick<AgedRequest, 'key'>): boolean {
    const entry = this.#cache.get(request.key)
    const age = entry && this.#ages.get(entry)
    return age !== undefined && this.#maySatisfy(age, request)
  }

  /** Returns the milliseconds since the question for an entry; undefined: an earlier process has asked it. */
  ageMsOf(entry: Entry): number | undefined {
    const age = this.#ages.get(entry)
    return age && this.#clock.now() - age.atMs
  }

  /** May an answer of this age be given to a request, by the rule? */
  #maySatisfy({ atMs, generation }: AgeStart, { subject, arrivedAtMs, maxAgeMs }: Asked): boolean {
    const { open, changes } = this.#statusOf(subject)
    return generation >= changes && atMs >= arrivedAtMs - (open > 0 ? 0 : maxAgeMs)
  }

  #hit(entry: Entry, follower: Follower, age: Age, request: AgedRequest): AgedReading {
    const { key, maxAgeMs, isLarge, isForPeer } = request
    if (maxAgeMs > 0 && !isLarge && !isForPeer && this.#refreshes.has(key)) age.owedBy = request
    const { atMs } = age
    return { entry, follower, reuse: 'hit', ageMs: this.#clock.now() - atMs, atMs, isStale: false }
  }

  /** Answers from the running round, or from the next one. */
  #share(request: AgedRequest): AgedReading | Promise<AgedReading> {
    const { key } = request
    const rounds = this.#rounds.get(key)
    if (!rounds) {
      const round = new Round()
      const reading = round.wait(request, 'filled')
      void this.#run(key, round)
      return reading
    }
    const { running } = rounds
    if (request.isForPeer && running.borrowed) throw new PeerRefused('elsewhere')
    if (this.#mayShare(running, request)) {
      const { entry, start } = running
      return entry && start ? this.#follow(entry, start, 'joined') : running.wait(request, 'joined')
    }
    // Slow followers of this fill must not delay the requests that wait for the next one.
    running.entry?.hurry()
    rounds.gathering ??= new Round()
    return rounds.gathering.wait(request, 'gathered')
  }

  #mayShare(round: Round, request: AgedRequest): boolean {
    const { start, entry, forgotten, signal } = round
    if (!start) return true
    const isOpen = entry ? entry.joinable : !round.settled
    return isOpen && !forgotten && !signal.aborted && this.#maySatisfy(start, request)
  }

  #follow(entry: Entry, { atMs }: AgeStart, reuse: Reuse): AgedReading {
    const ageMs = this.#clock.now() - atMs
    return { entry, follower: entry.follow(), reuse, ageMs, atMs, isStale: false }
  }

  /** Runs a round, and then the one that has gathered meanwhile. Never rejects. */
  async #run(key: string, running: Round): Promise<void> {
    this.#rounds.set(key, { running })
    // All requests that arrive in the same iteration of the event loop share one question.
    await yieldToEventLoop()
    const kept = await keep(this.#cache, key, running.request?.isInMemory)
    // The clients may have left.
    if (running.request) await this.#ask(key, running, running.request, kept)
    kept?.follower.close()
    const next = this.#rounds.get(key)?.gathering
    this.#rounds.delete(key)
    if (next?.request) void this.#run(key, next)
  }

  async #ask(key: string, round: Round, request: AgedRequest, kept: Kept | undefined): Promise<void> {
    const age = kept && this.#ages.get(kept.entry)
    const { cause, signal } = round
    // In one step before the question: what changes from here on is newer than this round.
    const { open, changes: generation } = this.#statusOf(request.subject)
    const askedAtMs = this.#clock.now()
    const oldestMs = open > 0 ? 0 : round.oldestMs
    let start: AgeStart = { atMs: askedAtMs - oldestMs, generation }
    round.start = start
    if (age) age.owedBy = undefined
    this.#events.upstreamAsked?.(key, cause)
    try {
      const found = await askOnce(round, request, kept?.entry, oldestMs)
      if (!found) return
      const { answer, ageMs } = found
      start = round.start = { atMs: askedAtMs - ageMs, generation }
      const changed = answer === 'unchanged' ? undefined : await changedAnswer(answer, kept?.entry, signal)
      if (changed) return await this.#fill(key, round, start, request, kept, changed)
      if (!kept) throw new Error('the origin says that nothing has changed, but nothing is kept')
      if (!round.forgotten) this.#renew(kept.entry, start, request)
      round.settle(() => this.#follow(kept.entry, start, 'revalidated'))
    } catch (error) {
      // A question that was aborted because its clients had left says nothing about the origin.
      const isRefused = !signal.aborted && !request.mayBeStale(error)
      if (isRefused) this.forget(key)
      round.settle((waiting) => {
        const mayAnswer = kept && age && !round.forgotten && isYoungEnough(age, waiting)
        if (!mayAnswer) throw error
        this.#events.servedStale?.(key)
        return { ...this.#follow(kept.entry, age, 'hit'), isStale: true }
      })
    }
  }

  /** Confirms an entry: its age begins anew. */
  #renew(entry: Entry, start: AgeStart, { key, subject, maxAgeMs }: AgedRequest): void {
    this.#ages.set(entry, { ...start, owedBy: undefined })
    this.#refreshes.plan(key, subject, start.atMs, maxAgeMs)
  }

  /** Streams an answer into an entry of its own. Resolves when the answer has ended. */
  async #fill(
    key: string,
    round: Round,
    start: AgeStart,
    request: AgedRequest,
    kept: Kept | undefined,
    answer: ChangedAnswer,
  ): Promise<void> {
    const isNew = (): boolean => {
      const isEqual = entry.sha256 !== undefined && entry.sha256 === kept?.entry.sha256
      if (round.forgotten || !isEqual || this.#cache.get(key) !== kept.entry) return !round.forgotten
      this.#renew(kept.entry, start, request)
      return false
    }
    const token = `${this.#processId} ${++this.#fills}`
    const producer = answer.producer((reason) => round.abort(reason))
    const fill = this.#cache.fill(key, token, producer, () => Promise.resolve(isNew()))
    const { entry } = fill
    this.#ages.set(entry, { ...start, owedBy: undefined })
    round.entry = entry
    request.fillStarted?.(fill)
    round.settle((_waiting, role) => this.#follow(entry, start, role))
    if (this.#rounds.get(key)?.gathering) entry.hurry()
    const result = await fill.ended
    // The engine may have ended the fill before it took anything of the answer.
    if (result === 'failed') round.abort(entry.error)
    if (round.forgotten) this.#cache.erase(key)
    else if (result === 'committed') this.#refreshes.plan(key, request.subject, start.atMs, request.maxAgeMs)
  }

  /** Forgets who has paid for the refresh of a key: there will be none. */
  #waive(key: string): void {
    const entry = this.#cache.get(key)
    const age = entry && this.#ages.get(entry)
    if (age) age.owedBy = undefined
  }

  /** Begins the refresh of a key, if a client has paid for it and nothing is asked already. */
  #refresh(key: string, isStatusKnown = false): Promise<void> | undefined {
    const entry = this.#cache.get(key)
    const owedBy = entry && this.#ages.get(entry)?.owedBy
    if (owedBy?.mayRefresh?.() === false) return undefined
    if (!owedBy || this.#rounds.has(key) || !this.#refreshes.has(key)) return undefined
    const refreshing = isStatusKnown ? undefined : this.#refreshStatus?.(owedBy.subject)
    if (refreshing) return refreshing.then(() => this.#refresh(key, true))
    return this.#statusOf(owedBy.subject).open > 0 ? undefined : this.#run(key, new Round(owedBy))
  }

  /**
   * Has the owed refreshes of a repository's keys run soon, with jitter, since it may have changed (webhook, invalidation,
   * end of a lease). That what is kept no longer answers is up to `changes` of the repository's lease status.
   */
  changed(subject: string): void {
    this.#refreshes.hasten(subject)
  }

  /** Removes what is kept under a key, so that it does not come back after a restart either. */
  forget(key: string): void {
    this.#refreshes.cancel(key)
    this.#cache.erase(key)
    const running = this.#rounds.get(key)?.running
    if (running?.start) running.forgotten = true
  }

  /** Cancels all timers and withdraws the refreshes that run. Clients that wait are still answered. */
  close(): void {
    this.#refreshes.close()
    for (const { running } of this.#rounds.values()) running.withdraw()
  }
}
