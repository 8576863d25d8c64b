const messages = {
  'queue-full': 'too many wait already',
  wait: 'its turn did not come in time',
  full: 'too many requests are under way',
  share: 'too many requests of this client are under way',
}

/** A request was shed: doors answer 429 with Retry-After, or RESOURCE_EXHAUSTED. */
export class Overloaded extends Error {
  override readonly name = 'Overloaded'
  /**
   * queue-full: there was no place to wait; wait: its turn did not come in time; full: too many are here already; share:
   * its client has as many here as one may have.
   */
  readonly reason: keyof typeof messages
  /** When to come again, from the pace at which turns came: a whole number from 1 to 60. */
  readonly retryAfterSeconds: number

  constructor(reason: Overloaded['reason'], retryAfterSeconds: number) {
    super(messages[reason])
    this.reason = reason
    this.retryAfterSeconds = retryAfterSeconds
  }
}
