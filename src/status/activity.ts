import { RecentFailures } from './recent-failures.js'
import { RecentHitters } from './recent-hitters.js'
import { RequestTail, type EndedRequest } from './request-tail.js'
import { RunningFills } from './running-fills.js'

/** Milliseconds of a period of the largest keys. */
const periodMs = 600_000
/** Most failures, and most requests for readers, that are kept. */
const failuresMax = 50
const requestsMax = 4096
/** Milliseconds without a question after which a reader of requests counts as gone. */
const readerMs = 5000

/** What a process does and has done lately, in bounded memory: read by the status, never by a decision. */
export class Activity {
  readonly fills = new RunningFills()
  readonly failures = new RecentFailures(failuresMax)
  readonly tail = new RequestTail({ max: requestsMax, keepMs: readerMs })
  readonly byRequests = new RecentHitters({ periodMs })
  readonly byBytes = new RecentHitters({ periodMs })
  readonly byFills = new RecentHitters({ periodMs })
  readonly #outcomes = new Map<string, number>()
  #sentBytes = 0

  /** Counts a request that has ended. */
  ended(request: EndedRequest): void {
    const { outcome = 'error', shownRepository: repository, sentBytes } = request
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
    this.#sentBytes += sentBytes
    if (repository !== undefined) {
      this.byRequests.add(repository)
      if (sentBytes > 0) this.byBytes.add(repository, sentBytes)
    }
    this.tail.add(request)
  }

  /** Requests so far, by outcome. */
  get outcomes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#outcomes)
  }

  /** Body bytes that were sent so far. */
  get sentBytes(): number {
    return this.#sentBytes
  }
}
