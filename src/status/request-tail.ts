/** A request that has ended, as it is read from outside. */
export interface EndedRequest {
  readonly transport: string
  readonly method: string
  readonly kind: string
  readonly version: number
  /** As the client asked for it; undefined: it was rejected before that was known. */
  readonly repository: string | undefined
  readonly outcome: string
  readonly sentBytes: number
  readonly ms: number
}

export interface TailedRequest extends EndedRequest {
  /** When it ended, in milliseconds of the epoch. */
  readonly at: number
}

/** What a reader gets: the requests since its last question, and where its next one goes on. */
export interface TailedRequests {
  readonly requests: readonly TailedRequest[]
  /** Requests that had left the ring before they were read. */
  readonly dropped: number
  readonly next: number
}

export interface RequestTailOptions {
  /** Most requests that are kept. */
  readonly max: number
  /** Milliseconds after the last question from which on nothing is kept any more. */
  readonly keepMs: number
  readonly now?: () => number
}

/**
 * The requests that have ended lately, in a ring. While there is no reader, nothing is kept: the ring starts with the first
 * question, and ends some time after the last one.
 */
export class RequestTail {
  readonly #options: RequestTailOptions
  readonly #now: () => number
  #ring: TailedRequest[] = []
  /** Requests so far: the number that the next one gets. */
  #count = 0
  #until = -Infinity

  constructor(options: RequestTailOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Is there a reader? */
  get isRead(): boolean {
    if (this.#until === -Infinity) return false
    if (this.#now() < this.#until) return true
    this.#until = -Infinity
    this.#ring = []
    return false
  }

  /** Keeps a request if there is a reader. */
  add(request: EndedRequest): void {
    if (!this.isRead) return
    const { transport, method, kind, version, repository, outcome, sentBytes, ms } = request
    const kept = { transport, method, kind, version, repository, outcome, sentBytes, ms, at: Date.now() }
    this.#ring[this.#count++ % this.#options.max] = kept
  }

  /** @param from `next` of the last answer; undefined: the reader begins */
  read(from?: number): TailedRequests {
    const wasRead = this.isRead
    this.#until = this.#now() + this.#options.keepMs
    const next = this.#count
    if (from === undefined || !wasRead || from > next) return { requests: [], dropped: 0, next }
    const first = Math.max(from, next - this.#ring.length)
    const requests = Array.from(
      { length: next - first },
      (_, at) => this.#ring[(first + at) % this.#options.max]!,
    )
    return { requests, dropped: first - from, next }
  }
}
