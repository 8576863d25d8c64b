import { LRUCache } from 'lru-cache'
import type { AgedCache } from '../../../freshness/aged/aged-cache.js'
import type { FleetFills } from '../../../fleet/fills/shared-fill.js'
import type { AgedReading, AgedRequest } from '../../../freshness/aged/aged-request.js'
import { tracedQuestion } from '../../../freshness/aged/traced-question.js'
import type { BackOff } from '../../../limits/back-off.js'
import type { Entry, Fill } from '../../../streamcache/index.js'
import type { Tracing } from '../../../telemetry/tracing/tracing.js'
import { momentaryFault } from '../../faults/faults.js'
import type { FillReports } from '../../faults/fill-reports.js'
import type { RefListings } from '../../ref-listings.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../faults/upstream-errors.js'
import type { UpstreamQuestion } from '../../peers/peer-question.js'
import { UnsortedListing } from './listing-order.js'
import { sharedAsking } from './shared-asking.js'
import { addressOf, type UpstreamRepository } from '../upstream.js'
import { CredentialsUnavailable } from '../credentials/credential-source.js'
import type { Question } from '../upstream-requests.js'

export interface UpstreamQuestionsOptions {
  readonly cache: AgedCache
  readonly listings: RefListings
  readonly fillReports: FillReports
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  /** As in `AgedRequest`. */
  readonly staleMs: number
  /** As in `MutatorLeases`; left out: what leases tell is always known here. */
  readonly refresh?: (subject: string) => Promise<void> | undefined
  /** Has a question asked by one node of the fleet at a time; left out: there are no other nodes. */
  readonly fleet?: Pick<FleetFills, 'ask' | 'isPreferred'> | undefined
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
  /** Called with the name of the upstream. */
  readonly events?: {
    /** A client has asked a question. */
    clientAsked?(upstream: string): void
    /** A client was answered with what was known that many milliseconds ago; stale: it is older than its bound. */
    answered?(upstream: string, ageMs: number, isStale: boolean): void
  }
}

/** What is asked, how it is named and reported, and how old the answer may be. */
export interface Asking {
  readonly kind: 'advertisement' | 'listing'
  readonly name: string
  /** Characters that the question takes in memory, about. */
  readonly size: number
  readonly view: string
  readonly maxAgeMs: number
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal | undefined
  readonly ask: (question: Question) => Promise<AsyncIterable<Buffer> | 'unchanged'>
  /** Returns the same question for another node. */
  readonly asked: () => UpstreamQuestion['asked']
  /** Is it the request of another node? */
  readonly isForPeer?: boolean
}

/** Most characters of a question and of its client's credentials that are kept for a refresh. */
const keptMax = 4096
/** Most repositories whose listings are known to be unsorted, and for how many milliseconds. */
const unsortedMemory = { max: 10_000, ttl: 600_000 }

/** Asks questions about refs, and remembers what came of them: entries, refusals, failures. */
export class UpstreamQuestions {
  readonly #options: UpstreamQuestionsOptions
  /**
   * Repositories whose listings lately were in no order that answers can be cut from, by address: a listing is passed on as
   * it comes, so that this may be found out too late for the client that has asked.
   */
  readonly #unsorted = new LRUCache<string, true>(unsortedMemory)
  /** The clients to which the upstream has refused something, by its refusals. */
  readonly #refusedTo = new WeakMap<UpstreamRefusal, string>()

  constructor(options: UpstreamQuestionsOptions) {
    this.#options = options
  }

  /** Returns the answer to a question, from what is kept if that may answer. @throws as `UpstreamRefs.advertise` */
  async read(repository: UpstreamRepository, asking: Asking): Promise<AgedReading> {
    const { cache, events, tracing } = this.#options
    const { name } = repository.upstream
    // That of another node was counted there.
    if (!asking.isForPeer) events?.clientAsked?.(name)
    // An exact answer is asked for after the request, whatever leases tell.
    const refreshing = asking.maxAgeMs > 0 ? this.#options.refresh?.(repository.subject) : undefined
    if (refreshing) await refreshing
    const request = this.#request(repository, asking)
    const reading = await (tracing
      ? tracing.waiting(() => cache.read(tracedQuestion(request, asking.kind, tracing)))
      : cache.read(request))
    if (!asking.isForPeer || reading.isStale) events?.answered?.(name, reading.ageMs, reading.isStale)
    return reading
  }

  /** Returns whether what is kept would answer a question without the upstream, as far as is known here. */
  mayAnswer(repository: UpstreamRepository, asking: Asking): boolean {
    return this.#options.cache.mayAnswer(this.#request(repository, asking))
  }

  /** Forgets that the upstream lets a client read a repository. */
  refused(repository: UpstreamRepository): void {
    this.#options.cache.forget(keyOf(repository, { ...capabilities, view: repository.client }))
  }

  /** Was a question of this very client refused, and not one of another client of the same view? */
  wasRefusedTo(refusal: UpstreamRefusal, { client }: UpstreamRepository): boolean {
    return this.#refusedTo.get(refusal) === client
  }

  /** Are the listings of a repository known to be in no order that answers can be cut from? */
  isUnsorted(repository: UpstreamRepository): boolean {
    return this.#unsorted.has(addressOf(repository))
  }

  #request(repository: UpstreamRepository, asking: Asking): AgedRequest {
    const { kind, size, maxAgeMs, signal, isForPeer = false } = asking
    const { authorization = '', cookie = '' } = repository.credentials
    const { backOff, fillReports, staleMs, fleet } = this.#options
    const key = keyOf(repository, asking)
    const inFleet = fleet && sharedAsking(fleet, key, repository, asking)
    const ask = inFleet?.ask ?? asking.ask
    return {
      key,
      subject: repository.subject,
      // Later than the request's own arrival: the answer is the newer.
      arrivedAtMs: performance.now(),
      maxAgeMs,
      staleMs: isForPeer ? 0 : staleMs,
      isForPeer,
      ...inFleet?.terms,
      isLarge: size + authorization.length + cookie.length > keptMax,
      ...(signal && { signal }),
      ask: async (kept, questionSignal, cause, elsewhere) => {
        throwIfAway(backOff, key)
        const ended = (error?: unknown): void => {
          if (error === undefined) backOff.succeeded(key)
          else if (!questionSignal.aborted) this.#learn(repository, key, error)
        }
        try {
          // Listings are in memory, where the bytes of their entries often are not.
          const bytesOfKept = (): readonly Buffer[] | undefined =>
            kept && kind === 'listing' ? this.#options.listings.find(kept)?.whole?.chunks : undefined
          const found = await ask({ kept, signal: questionSignal, cause, bytesOfKept }, elsewhere)
          const { answer, ageMs } =
            typeof found === 'object' && 'answer' in found ? found : { answer: found, ageMs: 0 }
          if (answer !== 'unchanged') return { answer: reported(answer, ended), ageMs }
          ended()
          return { answer, ageMs }
        } catch (error) {
          ended(error)
          if (error instanceof UpstreamRefusal) {
            this.#refusedTo.set(error, repository.client)
            this.refused(repository)
          }
          throw error
        }
      },
      mayBeStale: isAway,
      fillStarted: ({ entry, ended }: Fill) => {
        fillReports.started({ kind, producer: () => 'upstream', entry, state: '', ended })
        void ended.then(() => kind === 'listing' && this.#options.listings.holds(entry) && entry.cool())
      },
      isInMemory: kind === 'listing' ? this.#isInMemory : undefined,
    }
  }

  /** Remembers a failure to answer that is the upstream's, and not the client's. */
  #learn(repository: UpstreamRepository, key: string, error: unknown): void {
    if (error instanceof UpstreamUnavailable && error.wasAsked) this.#options.backOff.failed(key, error)
    if (error instanceof UnsortedListing) this.#unsorted.set(addressOf(repository), true)
  }

  /** Listings are answered from memory, without the entry's bytes. */
  readonly #isInMemory = (entry: Entry): boolean => this.#options.listings.holds(entry)
}

/** The question whose answer is the verdict on a client too. */
export const capabilities = { kind: 'advertisement', name: 'v2' } as const

const keyOf = (
  repository: UpstreamRepository,
  { kind, name, view }: Pick<Asking, 'kind' | 'name' | 'view'>,
): string => `upstream-${kind} ${name} ${view} ${addressOf(repository)}`

/** Tells how an answer ended, whether it becomes an entry or equals one. @param ended called with the error, if any */
async function* reported(
  answer: AsyncIterable<Buffer>,
  ended: (error?: unknown) => void,
): AsyncGenerator<Buffer> {
  try {
    yield* answer
  } catch (error) {
    ended(error)
    throw error
  }
  ended()
}

/** @throws UpstreamUnavailable, as it was thrown before, while the next try is not due yet (R7) */
function throwIfAway(backOff: BackOff, key: string): void {
  const { error, retryAfterMs } = backOff.blocked(key) ?? {}
  if (error instanceof UpstreamUnavailable)
    throw new UpstreamUnavailable(error.message, {
      ...{ retryAfterMs, status: error.status, wasAsked: false, cause: error },
    })
}

/** Has asking failed because the upstream is away, and not because it refuses, by a redirect to a login page for example? */
const isAway = (error: unknown): boolean =>
  momentaryFault(error) !== undefined || error instanceof CredentialsUnavailable
