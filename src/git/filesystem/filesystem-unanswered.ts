/** A filesystem did not answer in time. HTTP answers 503 with Retry-After, gRPC UNAVAILABLE. */
export class FilesystemUnanswered extends Error {
  override readonly name = 'FilesystemUnanswered'
  override readonly message = 'the filesystem that this repository lies on does not answer'
  /** A whole number, for Retry-After. */
  readonly retryAfterSeconds: number
  /** Mount points; for the log, not for clients. */
  readonly mounts: readonly string[]

  constructor(mounts: readonly string[], retryAfterSeconds: number, cause?: unknown) {
    super(undefined, cause === undefined ? {} : { cause })
    this.mounts = mounts
    this.retryAfterSeconds = retryAfterSeconds
  }
}
