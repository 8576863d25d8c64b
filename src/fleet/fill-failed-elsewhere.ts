import type { FleetFailure } from './engine.js'

/** A fill has failed, perhaps on another node, and may not be tried again yet by any node of the fleet (R7). */
export class FillFailedElsewhere extends Error {
  override readonly name = 'FillFailedElsewhere'
  /** As the failure's node has named it. */
  readonly code: string
  /** Failures in a row. */
  readonly attempt: number
  /** Milliseconds until the next try. */
  readonly retryAfterMs: number

  constructor({ code, message, attempt }: FleetFailure, retryAfterMs: number) {
    super(message)
    this.code = code
    this.attempt = attempt
    this.retryAfterMs = retryAfterMs
  }
}
