/**
 * Why a fill failed. `producer`: the producer failed by itself. The engine ended the others: `timeout` (the fill took too
 * long), `first-byte` and `silence` (no first byte, or no further byte, in time), `closed` (the cache was closed). Its
 * owner ended it: `unread` (no follower was left). For one follower only: `stalled` (it held up others, and was closed).
 */
export type FillFault = 'producer' | 'timeout' | 'first-byte' | 'silence' | 'closed' | 'unread' | 'stalled'

/** The one error that every follower of a failed fill receives, or a follower that the engine has closed. */
export class FillError extends Error {
  override readonly name = 'FillError'
  readonly fault: FillFault

  constructor(fault: FillFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}
