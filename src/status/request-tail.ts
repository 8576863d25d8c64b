/** A request that has ended, as its record has it. What makes work to find out is asked for only if there is a reader. */
export interface EndedRequest {
  /** Names it in the log. */
  readonly id: string
  readonly transport: string
  readonly method: string
  readonly kind: string
  /** Of Git's protocol. */
  readonly version: number
  /** As the client asked for it, without credentials; undefined: it was rejected before that was known. */
  readonly shownRepository: string | undefined
  readonly outcome: string | undefined
  readonly sentBytes: number
  /** Milliseconds since it arrived. */
  readonly elapsedMs: number
  /** Milliseconds that it has waited for admission. */
  readonly waitedMs: number
  /** Milliseconds until the first byte of its answer; undefined: it has none. */
  readonly firstByteMs: number | undefined
  /** The name that its client was authenticated as. */
  readonly user: string | undefined
  readonly details: () => {
    /** HTTP's status, or gRPC's code; undefined: no answer was begun. */
    readonly status: number | undefined
    /** Attributes by OpenTelemetry's names. */
    readonly attributes: Readonly<Record<string, string | number | undefined>>
  }
}

/** A request that has ended, as it is read from outside. */
export interface TailedRequest {
  /** When it ended, in milliseconds of the epoch. */
  readonly at: number
  readonly id: string
  readonly transport: string
  readonly method: string
  readonly kind: string
  readonly version: number
  readonly repository?: string | undefined
  readonly outcome: string
  readonly status?: number | undefined
  readonly sentBytes: number
  readonly ms: number
  readonly waitedMs: number
  readonly firstByteMs?: number | undefined
  readonly user?: string | undefined
  /** The client's address, behind trusted proxies. */
  readonly client?: string | undefined
  /** `http` or `https`, as the client has used it, behind trusted proxies. */
  readonly scheme?: string | undefined
}

/** What a reader gets: the requests since its last question, and where its next one goes on. */
export interface TailedRequests {
  readonly requests: readonly TailedRequest[]
  /** Requests that had left the ring before they were read, whether they were wanted or not. */
  readonly dropped: number
  readonly next: number
}

/** Which of the requests a reader wants. */
export interface Wanted {
  /** Most of them in one answer; the next one goes on behind them. */
  readonly max: number
  /** Milliseconds for which requests are looked at for one answer; left out: as long as it takes. */
  readonly forMs?: number
  readonly is?: (request: TailedRequest) => boolean
}

export interface RequestTailOptions {
  /** Most requests that are kept. */
  readonly max: number
  /** Milliseconds after the last question from which on nothing is kept any more. */
  readonly keepMs: number
  readonly now?: () => number
}

/**
 * The requests that have ended lately, in a ring. While there is no reader, they are counted and not kept: the ring starts
 * with the first question, and ends some time after the last one.
 */
export class RequestTail {
  readonly #options: RequestTailOptions
  readonly #now: () => number
  #ring: TailedRequest[] = []
  /** Requests so far: the number that the next one gets. */
  #count = 0
  /** The number of the first request that was kept. */
  #keptFrom = 0
  #until = -Infinity

  constructor(options: RequestTailOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Is there a reader? */
  get #isRead(): boolean {
    if (this.#until === -Infinity) return false
    if (this.#now() < this.#until) return true
    this.#until = -Infinity
    this.#ring = []
    return false
  }

  /** Counts a request, and keeps it if there is a reader. */
  add(request: EndedRequest): void {
    if (this.#isRead) this.#ring[this.#count % this.#options.max] = tailed(request)
    this.#count++
  }

  /** @param from `next` of the last answer; undefined: the reader begins */
  read(from?: number, wanted: Wanted = { max: Infinity }): TailedRequests {
    const { max, forMs = Infinity, is = () => true } = wanted
    const count = this.#count
    if (!this.#isRead) this.#keptFrom = count
    const now = this.#now()
    this.#until = now + this.#options.keepMs
    // A process that was started again counts from zero.
    if (from === undefined || from > count) return { requests: [], dropped: 0, next: count }
    const first = Math.max(from, this.#keptFrom, count - this.#options.max)
    const requests: TailedRequest[] = []
    let next = first
    while (next < count && requests.length < max) {
      const request = this.#ring[next % this.#options.max]!
      if (is(request)) requests.push(request)
      next++
      if (this.#now() - now > forMs) break
    }
    return { requests, dropped: first - from, next }
  }
}

/** Characters of a path and of a name that are kept: they come from clients. */
const repositoryMax = 512
const userMax = 256

const rounded = (ms: number): number => Math.round(ms * 10) / 10

function tailed(request: EndedRequest): TailedRequest {
  const { id, transport, method, kind, version, outcome = 'error', sentBytes } = request
  const { shownRepository: repository, elapsedMs, waitedMs, firstByteMs, user } = request
  const { status, attributes } = request.details()
  const client = attributes['client.address']
  const scheme = attributes['url.scheme']
  return {
    at: Date.now(),
    ...{ id, transport, method, kind, version, outcome, sentBytes },
    ...{ ms: rounded(elapsedMs), waitedMs: rounded(waitedMs) },
    ...(repository !== undefined && { repository: repository.slice(0, repositoryMax) }),
    ...(status !== undefined && { status }),
    ...(firstByteMs !== undefined && { firstByteMs: rounded(firstByteMs) }),
    ...(user !== undefined && { user: user.slice(0, userMax) }),
    ...(client !== undefined && { client: String(client) }),
    ...(scheme !== undefined && { scheme: String(scheme) }),
  }
}
