import { TooManyFleetLeases, type FleetEngine, type Hint } from '../../engine.js'

/** Methods that a worker may call. */
export const operations = [
  'claim',
  'renew',
  'publish',
  'epochs',
  'change',
  'openLease',
  'renewLease',
  'endLease',
  'leases',
  'beat',
  'leave',
] as const satisfies readonly (keyof FleetEngine)[]

export type Operation = (typeof operations)[number]

/** Messages are arrays of these: what one iteration of the event loop has collected is sent at once. */
export type ToPrimary =
  /** A call, by a number that its answer repeats. */
  | readonly [id: number, operation: Operation, ...args: readonly unknown[]]
  /** From now on, hints are wanted, or not any more. */
  | readonly ['watch', boolean]

export type ToWorker =
  | readonly [id: number, 'ok', result: unknown]
  | readonly [id: number, 'failed', error: SentError]
  | readonly ['hint', Hint]

export interface SentError {
  readonly name: string
  readonly message: string
}

export const encodeError = (error: unknown): SentError =>
  error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: 'Error', message: String(error) }

export const decodeError = ({ name, message }: SentError): Error =>
  name === 'TooManyFleetLeases' ? new TooManyFleetLeases(message) : new Error(message)

/** JSON has null where arguments and results are left out. */
export const restored = (value: unknown): unknown => value ?? undefined
