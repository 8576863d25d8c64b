import type { AgedCache } from '../../freshness/aged/aged-cache.js'
import type { AgedReading, AgedRequest } from '../../freshness/aged/aged-request.js'
import type { ProtocolVersion } from '../../git/protocol/version.js'
import { LRUCache } from 'lru-cache'
import type { BackOff } from '../../limits/back-off.js'
import type { Entry, Fill, FillError } from '../../streamcache/index.js'
import { RepositoryNotFound } from '../errors.js'
import { momentaryFault } from '../faults.js'
import type { FillReports } from '../fill-reports.js'
import type { RefAnswer, RefsAsked } from '../origin.js'
import type { RefListings } from '../ref-listings.js'
import { UpstreamRefusal } from '../upstream-errors.js'
import { UpstreamUnavailable } from './client/upstream-client.js'
import { UnsortedListing } from './listing-order.js'
import { RefsQuestion } from './refs-question.js'
import { addressOf, type UpstreamRepository } from './upstream.js'
import { NotSmart, type Question, type UpstreamRequests } from './upstream-requests.js'

export interface UpstreamRefsOptions {
  readonly requests: UpstreamRequests
  readonly cache: AgedCache
  readonly listings: RefListings
  readonly fillReports: FillReports
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  /** Milliseconds for which the upstream's verdict about a client is remembered; 0: only by requests that wait for it. */
  readonly verdictMs: number
  /** As in `AgedRequest`. */
  readonly staleMs: number
}

/** What is asked, how it is named and reported, and how old the answer may be. */
interface Asking {
  readonly kind: 'advertisement' | 'listing'
  readonly name: string
  readonly view: string
  readonly maxAgeMs: number
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal | undefined
  readonly ask: (question: Question) => Promise<AsyncIterable<Buffer> | 'unchanged'>
}

/** Most sets of prefixes that are remembered for one view of a repository, and most such views. */
const questionsMax = { each: 8, views: 10_000 }
/** Most repositories whose listings are known to be unsorted, and for how many milliseconds. */
const unsortedMemory = { max: 10_000, ttl: 600_000 }
/** Most times that an answer is asked for because it was refused to another client. */
const triesMax = 3

/** Answers requests for the refs of an upstream's repositories, from what is kept where the freshness rule allows it. */
export class UpstreamRefs {
  readonly #options: UpstreamRefsOptions
  /** Questions that were asked lately, by view and repository: the answer to a wide one may answer a narrow one. */
  readonly #questions = new LRUCache<string, RefsQuestion[]>({ max: questionsMax.views })

  /**
   * Repositories whose listings lately were in no order that answers can be cut from, by address: a listing is passed on as
   * it comes, so that this may be found out too late for the client that has asked.
   */
  readonly #unsorted = new LRUCache<string, true>(unsortedMemory)
  /** The clients to which the upstream has refused something, by its refusals. */
  readonly #refusedTo = new WeakMap<UpstreamRefusal, string>()

  constructor(options: UpstreamRefsOptions) {
    this.#options = options
  }

  /**
   * Returns the advertisement of a repository. The capability advertisement of protocol v2 is asked for in each client's own
   * name: it is the verdict on that client too.
   * @throws UpstreamRefusal, UpstreamUnavailable, NotSmart, BackingOff, Overloaded, FillError
   */
  async advertise(
    repository: UpstreamRepository,
    version: ProtocolVersion,
    signal?: AbortSignal,
  ): Promise<AgedReading> {
    const { maxAgeMs, view } = repository
    if (version === 2)
      return this.#capabilities(repository, Math.min(maxAgeMs, this.#options.verdictMs), signal)
    if (!this.#asksForItself(repository)) await this.verdict(repository, signal)
    return this.#readOwn(repository, {
      ...{ kind: 'advertisement', name: `v${version}`, view, maxAgeMs, signal },
      ask: (question) => this.#options.requests.advertisement(repository, version, question),
    })
  }

  /**
   * Resolves if the upstream lets the client read the repository, or has done so a short time ago.
   * @throws as `advertise`
   */
  async verdict(repository: UpstreamRepository, signal?: AbortSignal): Promise<void> {
    const { follower } = await this.#capabilities(repository, this.#options.verdictMs, signal)
    follower.close()
  }

  /** Is a repository known to have moved to another place of its upstream? */
  hasMoved(repository: UpstreamRepository): boolean {
    return this.#options.requests.placeOf(repository) !== repository.path
  }

  /**
   * Returns a listing that has what is asked for.
   * @returns undefined: the upstream's answers cannot be cut, so the request must pass through
   * @throws as `advertise`
   */
  async list(
    repository: UpstreamRepository,
    asked: RefsAsked,
    signal?: AbortSignal,
  ): Promise<RefAnswer | undefined> {
    if (this.#unsorted.get(addressOf(repository))) return undefined
    if (!this.#asksForItself(repository)) await this.verdict(repository, signal)
    try {
      const question = this.#widest(repository, await this.#questionOf(repository, asked, signal))
      const reading = await this.#readOwn(repository, this.#listing(repository, question, signal))
      const { entry, follower, reuse, ageMs, isStale } = reading
      const listing = this.#options.listings.of(entry)
      // The listing follows the entry by itself.
      follower.close()
      return { listing, reuse, ageMs, isStale }
    } catch (error) {
      if (error instanceof NotSmart || error instanceof UnsortedListing) return undefined
      throw error
    }
  }

  /** Is each answer asked for in the name of the very client that gets it? Then it is the verdict on it too. */
  #asksForItself({ maxAgeMs, view, client }: UpstreamRepository): boolean {
    return maxAgeMs === 0 && view === client
  }

  #capabilities(
    repository: UpstreamRepository,
    maxAgeMs: number,
    signal: AbortSignal | undefined,
  ): Promise<AgedReading> {
    return this.#read(repository, {
      ...{ ...capabilities, view: repository.client, maxAgeMs, signal },
      ask: (question) => this.#options.requests.advertisement(repository, 2, question),
    })
  }

  /** To be called when the upstream has refused something to a client: what it has allowed before does not count any more. */
  refused(repository: UpstreamRepository): void {
    this.#options.cache.forget(keyOf(repository, { ...capabilities, view: repository.client }))
  }

  #listing(repository: UpstreamRepository, question: RefsQuestion, signal?: AbortSignal): Asking {
    const { view, maxAgeMs } = repository
    return {
      ...{ kind: 'listing', name: question.name, view, maxAgeMs, signal },
      ask: (asked) => this.#options.requests.listing(repository, question.body, asked),
    }
  }

  async #questionOf(
    repository: UpstreamRepository,
    asked: RefsAsked,
    signal: AbortSignal | undefined,
  ): Promise<RefsQuestion> {
    const objectFormat = asked.objectFormat ?? (await this.#objectFormatOf(repository, signal))
    return new RefsQuestion({ ...asked, objectFormat })
  }

  /** Returns the object format that the capability advertisement names (gitprotocol-v2(5), "object-format"). */
  async #objectFormatOf(repository: UpstreamRepository, signal: AbortSignal | undefined): Promise<string> {
    const { follower } = await this.#capabilities(repository, this.#options.verdictMs, signal)
    try {
      const chunks: Buffer[] = []
      for await (const chunk of follower) chunks.push(chunk)
      return /object-format=([a-z0-9]+)/.exec(Buffer.concat(chunks).toString('latin1'))?.[1] ?? 'sha1'
    } finally {
      follower.close()
    }
  }

  /** Returns a question whose answer is kept, may answer now, and has what is asked for; else the question itself. */
  #widest(repository: UpstreamRepository, asked: RefsQuestion): RefsQuestion {
    if (repository.maxAgeMs === 0) return asked
    const key = `${repository.view} ${addressOf(repository)}`
    const known = this.#questions.get(key) ?? []
    const found = known.find(
      (question) =>
        question.covers(asked) &&
        this.#options.cache.mayAnswer(this.#request(repository, this.#listing(repository, question))),
    )
    if (!found) {
      const others = known.filter(({ name }) => name !== asked.name)
      this.#questions.set(key, [asked, ...others].slice(0, questionsMax.each))
    }
    return found ?? asked
  }

  async #read(repository: UpstreamRepository, asking: Asking): Promise<AgedReading> {
    return this.#options.cache.read(this.#request(repository, asking))
  }

  /**
   * Reads an answer that may be asked for in the name of another client with the same view. Such a client's refusal is not
   * that of the others.
   */
  async #readOwn(repository: UpstreamRepository, asking: Asking): Promise<AgedReading> {
    for (let tries = 1; ; tries++) {
      try {
        const reading = await this.#read(repository, asking)
        if (reading.isStale && this.#asksForItself(repository))
          await this.#closedUnless(reading, repository, asking.signal)
        return reading
      } catch (error) {
        if (!(error instanceof UpstreamRefusal) || this.#refusedTo.get(error) === repository.client)
          throw error
        if (tries === triesMax)
          throw new UpstreamUnavailable('the upstream has refused this to other clients', { cause: error })
        const { follower } = await this.#capabilities(repository, 0, asking.signal)
        follower.close()
      }
    }
  }

  /** An answer that is kept is no verdict, other than one that was just asked for: the last verdict may have been a refusal. */
  async #closedUnless(
    { follower }: AgedReading,
    repository: UpstreamRepository,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    try {
      await this.verdict(repository, signal)
    } catch (error) {
      follower.close()
      throw error
    }
  }

  #request(repository: UpstreamRepository, asking: Asking): AgedRequest {
    const { kind, maxAgeMs, signal, ask } = asking
    const { backOff, fillReports, staleMs } = this.#options
    const key = keyOf(repository, asking)
    return {
      key,
      subject: repository.subject,
      // Later than the request's own arrival: the answer is the newer.
      arrivedAtMs: performance.now(),
      maxAgeMs,
      staleMs,
      ...(signal && { signal }),
      ask: async (kept, questionSignal, cause) => {
        throwIfAway(backOff, key)
        try {
          const answer = await ask({ kept, signal: questionSignal, cause })
          if (answer === 'unchanged') backOff.succeeded(key)
          return answer
        } catch (error) {
          if (!questionSignal.aborted) this.#learn(repository, key, error)
          if (error instanceof UpstreamRefusal) {
            this.#refusedTo.set(error, repository.client)
            this.refused(repository)
          }
          throw error
        }
      },
      mayBeStale: isAway,
      fillStarted: ({ entry, ended }: Fill) => {
        fillReports.started({ kind, entry, state: '', ended })
        void ended.then((result) => {
          if (result === 'failed') this.#learn(repository, key, (entry.error as Partial<FillError>).cause)
          if (kind === 'listing' && this.#options.listings.holds(entry)) entry.cool()
        })
      },
      isInMemory: kind === 'listing' ? this.#isInMemory : undefined,
    }
  }

  /** Remembers a failure to answer that is the upstream's, and not the client's. */
  #learn(repository: UpstreamRepository, key: string, error: unknown): void {
    if (error instanceof UpstreamUnavailable) this.#options.backOff.failed(key, error)
    if (error instanceof UnsortedListing) this.#unsorted.set(addressOf(repository), true)
  }

  /** Listings are answered from memory, without the entry's bytes. */
  readonly #isInMemory = (entry: Entry): boolean => this.#options.listings.holds(entry)
}

const capabilities = { kind: 'advertisement', name: 'v2' } as const

const keyOf = (
  repository: UpstreamRepository,
  { kind, name, view }: Pick<Asking, 'kind' | 'name' | 'view'>,
): string => `upstream-${kind} ${name} ${view} ${addressOf(repository)}`

/** @throws UpstreamUnavailable, as it was thrown before, while the next try is not due yet (R7) */
function throwIfAway(backOff: BackOff, key: string): void {
  const { error, retryAfterMs } = backOff.blocked(key) ?? {}
  if (error instanceof UpstreamUnavailable)
    throw new UpstreamUnavailable(error.message, { retryAfterMs, status: error.status, cause: error })
}

/** Has asking failed because the upstream is away, and not because it refuses? */
const isAway = (error: unknown): boolean =>
  !(error instanceof UpstreamRefusal || error instanceof NotSmart || error instanceof RepositoryNotFound) ||
  momentaryFault(error) !== undefined
