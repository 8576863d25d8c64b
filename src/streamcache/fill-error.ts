/** Why a fill ended badly. `producer`: it failed by itself; the others: the engine ended it. */
export type FillFault = 'producer' | 'timeout' | 'first-byte' | 'silence' | 'closed'

/** The one error that every follower of a failed fill receives. */
export class FillError extends Error {
  override readonly name = 'FillError'
  readonly fault: FillFault

  constructor(fault: FillFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}
