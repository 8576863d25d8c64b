/** An upstream's answer that refuses a request: its client gets it as it is. */
export class UpstreamRefusal extends Error {
  override readonly name = 'UpstreamRefusal'
  readonly status: number
  /** Names and values in turn: those that the client needs. */
  readonly headers: readonly string[]
  readonly body: Buffer

  constructor(status: number, headers: readonly string[], body: Buffer) {
    super(`the upstream answered with status ${status}`)
    this.status = status
    this.headers = headers
    this.body = body
  }
}

/**
 * The upstream cannot answer now: it does not connect, is silent, breaks off, answers 429 or 5xx (not for class pass), or
 * its breaker is open. The message names its host and says why.
 */
export class UpstreamUnavailable extends Error {
  override readonly name = 'UpstreamUnavailable'
  /** When to ask again, in milliseconds; undefined: not known. */
  readonly retryAfterMs: number | undefined
  /** The status of the upstream's response; undefined: there was none. */
  readonly status: number | undefined
  /** false: nothing was sent to it, because of earlier failures. */
  readonly wasAsked: boolean

  constructor(
    message: string,
    {
      retryAfterMs,
      status,
      wasAsked = true,
      cause,
    }: {
      retryAfterMs?: number | undefined
      status?: number | undefined
      wasAsked?: boolean
      cause?: unknown
    } = {},
  ) {
    super(message, { cause })
    this.wasAsked = wasAsked
    this.retryAfterMs = retryAfterMs
    this.status = status
  }
}
