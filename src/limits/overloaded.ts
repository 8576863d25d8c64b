/** A request was shed: doors answer 429 with Retry-After, or RESOURCE_EXHAUSTED. */
export class Overloaded extends Error {
  override readonly name = 'Overloaded'
  /** queue-full: there was no place to wait; wait: its turn did not come in time. */
  readonly reason: 'queue-full' | 'wait'
  /** When to come again, from the pace at which slots were handed on: a whole number from 1 to 60. */
  readonly retryAfterSeconds: number

  constructor(reason: 'queue-full' | 'wait', retryAfterSeconds: number) {
    super(reason === 'wait' ? 'no slot was free in time' : 'no slot is free, and the queue is full')
    this.reason = reason
    this.retryAfterSeconds = retryAfterSeconds
  }
}
