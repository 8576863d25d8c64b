/** A client has sent more requests than it may: HTTP answers 429 with Retry-After, gRPC RESOURCE_EXHAUSTED. */
export class RateLimited extends Error {
  override readonly name = 'RateLimited'
  /** Milliseconds until the client may send one request. */
  readonly retryAfterMs: number

  /** @param client what the limit counts, for the person who reads the message: a user or an address */
  constructor(client: 'user' | 'address', perSecond: number, retryAfterMs: number) {
    super(`this ${client} has sent more than the ${perSecond} requests per second that are allowed`)
    this.retryAfterMs = retryAfterMs
  }
}
