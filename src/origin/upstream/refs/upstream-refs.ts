import { LRUCache } from 'lru-cache'
import type { AgedReading } from '../../../freshness/aged/aged-request.js'
import type { ProtocolVersion } from '../../../git/protocol/version.js'
import type { RefAnswer, RefsAsked } from '../../origin.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../faults/upstream-errors.js'
import { UnsortedListing } from './listing-order.js'
import { RefsQuestion } from './refs-question.js'
import { addressOf, type UpstreamRepository } from '../upstream.js'
import { PeerRefused } from '../../../fleet/peers/peer.js'
import type { UpstreamQuestion } from '../../peers/peer-question.js'
import { UpstreamQuestions, type Asking, type UpstreamQuestionsOptions } from './upstream-questions.js'
import { NotSmart, type UpstreamRequests } from '../upstream-requests.js'

export interface UpstreamRefsOptions extends UpstreamQuestionsOptions {
  readonly requests: UpstreamRequests
  /** Milliseconds for which the upstream's verdict about a client is remembered; 0: only by requests that wait for it. */
  readonly verdictMs: number
}

/** Most questions that are remembered for one view of a repository; most characters of all, and what each counts besides its prefixes. */
const questionsMax = { each: 8, characters: 16 * 1024 * 1024, overhead: 500 }
/** Most times that an answer is asked for because it was refused to another client. */
const triesMax = 3

/** Answers requests for the refs of an upstream's repositories, from what is kept where the freshness rule allows it. */
export class UpstreamRefs {
  readonly #options: UpstreamRefsOptions
  /** Questions that were asked lately, by view and repository: the answer to a wide one may answer a narrow one. */
  readonly #questions = new LRUCache<string, RefsQuestion[]>({
    maxSize: questionsMax.characters,
    sizeCalculation: (questions, key) =>
      questions.reduce((sum, { size }) => sum + size + questionsMax.overhead, key.length),
  })

  readonly #asked: UpstreamQuestions

  constructor(options: UpstreamRefsOptions) {
    this.#options = options
    this.#asked = new UpstreamQuestions(options)
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
    return this.#readOwn(repository, this.#advertisement(repository, version, view, maxAgeMs, signal))
  }

  #advertisement(
    repository: UpstreamRepository,
    version: ProtocolVersion,
    view: string,
    maxAgeMs: number,
    signal?: AbortSignal,
  ): Asking {
    return {
      ...{ kind: 'advertisement', name: `v${version}`, size: 0, view, maxAgeMs, signal },
      ask: (question) => this.#options.requests.advertisement(repository, version, question),
      asked: () => ({ kind: 'advertisement', version }),
    }
  }

  /**
   * Answers another node, which has checked access, by the rule for a client whose request arrives now.
   * @throws as `advertise`; PeerRefused also if a question of another client was refused
   */
  async readForPeer(
    repository: UpstreamRepository,
    asked: Exclude<UpstreamQuestion['asked'], { kind: 'pack' }>,
    maxAgeMs: number,
    signal: AbortSignal,
  ): Promise<AgedReading> {
    const { view, client } = repository
    const asking =
      asked.kind === 'listing'
        ? this.#listing(repository, new RefsQuestion(asked), signal)
        : this.#advertisement(repository, asked.version, asked.version === 2 ? client : view, 0, signal)
    try {
      return await this.#asked.read(repository, { ...asking, maxAgeMs, isForPeer: true })
    } catch (error) {
      const isOthers = error instanceof UpstreamRefusal && !this.#asked.wasRefusedTo(error, repository)
      throw isOthers ? new PeerRefused('elsewhere', 'the upstream has refused this to another client') : error
    }
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
    if (this.#asked.isUnsorted(repository)) return undefined
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
    return this.#asked.read(
      repository,
      this.#advertisement(repository, 2, repository.client, maxAgeMs, signal),
    )
  }

  /** To be called when the upstream has refused something to a client: what it has allowed before does not count any more. */
  refused(repository: UpstreamRepository): void {
    this.#asked.refused(repository)
  }

  #listing(repository: UpstreamRepository, question: RefsQuestion, signal?: AbortSignal): Asking {
    const { view, maxAgeMs } = repository
    return {
      asked: () => {
        const { objectFormat, unborn, prefixes } = question
        return { kind: 'listing', objectFormat, unborn, prefixes: [...prefixes] }
      },
      ...{ kind: 'listing', name: question.name, size: question.size, view, maxAgeMs, signal },
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
        question.covers(asked) && this.#asked.mayAnswer(repository, this.#listing(repository, question)),
    )
    if (!found) {
      const others = known.filter(({ name }) => name !== asked.name)
      this.#questions.set(key, [asked, ...others].slice(0, questionsMax.each))
    }
    return found ?? asked
  }

  /**
   * Reads an answer that may be asked for in the name of another client with the same view. Such a client's refusal is not
   * that of the others.
   */
  async #readOwn(repository: UpstreamRepository, asking: Asking): Promise<AgedReading> {
    for (let tries = 1; ; tries++) {
      try {
        const reading = await this.#asked.read(repository, asking)
        if (reading.isStale && this.#asksForItself(repository))
          await this.#closedUnless(reading, repository, asking.signal)
        return reading
      } catch (error) {
        if (!(error instanceof UpstreamRefusal) || this.#asked.wasRefusedTo(error, repository)) throw error
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
}
