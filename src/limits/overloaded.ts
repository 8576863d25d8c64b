const messages = {
  'queue-full': 'the queue is full',
  wait: 'the request waited in the queue for too long',
  full: 'too many requests are being answered',
  share: 'too many requests of this client are being answered',
}

/** A request was shed: HTTP answers 429 with Retry-After, gRPC RESOURCE_EXHAUSTED. */
export class Overloaded extends Error {
  override readonly name = 'Overloaded'
  /**
   * queue-full: there was no place to wait; wait: the time limit of the queue has passed; full: the limit of requests is
   * reached; share: its client has as many requests as one client may have.
   */
  readonly reason: keyof typeof messages
  /** When to try again, estimated from the pace of the queue: a whole number of seconds from 1 to 60. */
  readonly retryAfterSeconds: number

  constructor(reason: Overloaded['reason'], retryAfterSeconds: number) {
    super(messages[reason])
    this.reason = reason
    this.retryAfterSeconds = retryAfterSeconds
  }
}
