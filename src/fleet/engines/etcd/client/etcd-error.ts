import type { ServiceError } from '@grpc/grpc-js'

/** Numbers of gRPC's status codes; importing them from the library would load all of it. */
export const status = {
  deadlineExceeded: 4,
  notFound: 5,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** What operators can do about an answer of etcd, by what it contains. */
const advice: readonly (readonly [RegExp, string])[] = [
  [/permission denied/, 'grant its user readwrite on all keys that begin with the fleet’s name and a slash'],
  [/invalid user ID or password/, 'correct the user and the password in --fleet'],
  [/user name is empty/, 'etcd asks for a user: give USER:PASSWORD@ in --fleet'],
  [/database space exceeded/, 'etcd is full: compact and defragment it, then disarm its alarm'],
  [/too many operations in txn/, 'etcd’s --max-txn-ops must be 128 or more'],
]

/** A call to etcd has failed, or its answer did not come. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError'
  /** gRPC's status code; undefined: etcd was not asked. */
  readonly code: number | undefined

  constructor(message: string, options: { readonly cause?: unknown; readonly code?: number } = {}) {
    super(message, { cause: options.cause })
    this.code = options.code
  }

  /** @param host the one that was asked, as HOST:PORT */
  static of(error: unknown, host: string): EtcdError {
    const { code, details, message } = error as ServiceError
    const said = details || message
    const help = advice.find(([pattern]) => pattern.test(said))?.[1]
    return new EtcdError(`etcd at ${host}: ${said}${help === undefined ? '' : `; ${help}`}`, {
      cause: error,
      code,
    })
  }
}

const codeOf = (error: unknown): number | undefined => (error instanceof EtcdError ? error.code : undefined)

/** Is there no connection, or no answer in time? */
export const isAway = (error: unknown): boolean =>
  codeOf(error) === status.unavailable || codeOf(error) === status.deadlineExceeded

/** Was the call not answered because there is no connection, or because this member of etcd has no leader? */
export const isUnavailable = (error: unknown): boolean => codeOf(error) === status.unavailable

/** Is the etcd lease unknown? It has expired, was revoked, or etcd has lost its data. */
export const isLeaseUnknown = (error: unknown): boolean => codeOf(error) === status.notFound

/**
 * Is another token needed? A restarted etcd knows none, a change of its users makes all of them old, and there is none from
 * before users were switched on.
 */
export const isTokenOld = (error: unknown): boolean =>
  codeOf(error) === status.unauthenticated ||
  (error instanceof EtcdError &&
    /invalid auth token|auth store is old|user name is empty/.test(error.message))
