/** A filesystem did not answer in time. Doors answer 503 with Retry-After, or UNAVAILABLE. */
export class FilesystemUnanswered extends Error {
  override readonly name = 'FilesystemUnanswered'
  override readonly message = 'the filesystem that this repository lies on does not answer'
  /** When to come again: a whole number. */
  readonly retryAfterSeconds: number
  /** Where it is mounted; not for clients. */
  readonly mounts: readonly string[]

  constructor(mounts: readonly string[], retryAfterSeconds: number, cause?: unknown) {
    super(undefined, cause === undefined ? {} : { cause })
    this.mounts = mounts
    this.retryAfterSeconds = retryAfterSeconds
  }
}
