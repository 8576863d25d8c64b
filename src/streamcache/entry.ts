import { FillError } from './fill/fill-error.js'
import type { Follower } from './growing/follower.js'
import type { GrowingFile } from './growing/growing-file.js'
import type { Produce, RevisingProducer } from './fill/producer.js'
import { Revision } from './fill/revision.js'
import type { Rope } from './memory/rope.js'
import { withRetries, type RetryOptions } from './fill/retry.js'
import { callAfter } from './waiting/timer.js'

/** Time limits of a fill, in milliseconds, and its retries. */
export interface FillLimits extends RetryOptions {
  /** Longest time that a producer may take in all. Pauses for slow followers do not count. */
  readonly fillTimeoutMs: number
  /** Longest time before the first chunk, which may be empty; `fillFirstByteMs` if left out. */
  readonly fillStartMs?: number
  /** Longest time from then to the first byte; `fillSilenceMs` if left out. */
  readonly fillFirstByteMs?: number
  /** Longest time between two chunks; also the longest pause for slow followers or a slow disk. */
  readonly fillSilenceMs: number
}

/** What a fill makes: bytes under a key and a state token, growing or complete, and the followers that read them. */
export class Entry {
  readonly key: string
  /** The state that the bytes stand for; undefined if it could not be named, so that no later request may join. */
  readonly token: string | undefined
  readonly file: GrowingFile
  /** What its Revision was made from, until it is decided whether the entry is committed. */
  base: Revision['base']
  readonly #abort = new AbortController()
  #begun = false

  constructor(key: string, token: string | undefined, file: GrowingFile) {
    this.key = key
    this.token = token
    this.file = file
  }

  /** May a new follower attach and read from byte 0? */
  get joinable(): boolean {
    return this.file.joinable
  }

  /** Attaches a follower at byte 0. @throws the fill's error if it failed; an error if the first bytes are gone */
  follow(): Follower {
    return this.file.follow()
  }

  /**
   * Makes a committed entry ready to be read; returns true at once if it is in memory. false: what is on disk is damaged,
   * or cannot be read now.
   */
  load(): boolean | Promise<boolean> {
    return this.file.body?.load() ?? this.file.spill.load()
  }

  /** Is it proved that what is on disk is not what was committed? */
  get damaged(): boolean {
    return this.file.body?.damaged ?? this.file.spill.damaged
  }

  /**
   * Frees the memory of bytes that are on disk too, for an owner that holds these bytes in another form; of a rope as soon
   * as it is on disk and not followed.
   */
  cool(): void {
    this.file.release()
  }

  /**
   * Tells whether an owner holds the rope that is in memory now, within a limit of its own: then it does not count as memory
   * here. To be called again when that ends.
   */
  hold(isHeld: boolean): void {
    this.file.body?.hold(isHeld)
  }

  /** Bytes so far; the total once the fill has ended. */
  get length(): number {
    return this.file.length
  }

  /** Total length in bytes, once the fill has succeeded. */
  get size(): number | undefined {
    return this.file.size
  }

  /** SHA-256 of all bytes in hexadecimal, once the fill has succeeded. */
  get sha256(): string | undefined {
    return this.file.sha256
  }

  /** The whole body in chunks that other versions share, if its producer yielded a Revision and it is in memory. */
  get rope(): Rope | undefined {
    return this.file.body?.rope
  }

  /**
   * Returns `sha256`, computed now if it was not needed before; undefined while the entry grows. Rejects if a rope cannot be
   * read back.
   */
  digest(): string | undefined | Promise<string> {
    return this.size === undefined ? undefined : (this.sha256 ?? this.file.body?.digest())
  }

  /** Where the committed body is on disk as one whole file; undefined: it is not, or not any more. */
  get path(): string | undefined {
    return this.file.body ? this.file.body.path : this.file.spill.path
  }

  /** Why the fill failed, if it has. */
  get error(): unknown {
    return this.file.error
  }

  /** From now on followers do not hold up the fill: another request needs its end. */
  hurry(): void {
    this.file.hurry()
  }

  /** From now on all bytes are kept, on disk if they are too many for memory: the owner expects more followers. */
  retain(): void {
    this.file.retain()
  }

  /** Has the producer yielded its first chunk, which may be empty? */
  get begun(): boolean {
    return this.#begun
  }

  /** Is any follower attached now? */
  get followed(): boolean {
    return this.file.followed
  }

  /** Followers attached now. */
  get followers(): number {
    return this.file.followerCount
  }

  /** Hurries the fill, and resolves when it has succeeded. @throws FillError if it failed */
  end(): Promise<void> {
    this.hurry()
    return this.file.end()
  }

  /** Runs the producer into the file. Resolves when the producer has ended; errors go to the followers. */
  async run(producer: RevisingProducer, limits: FillLimits): Promise<void> {
    const { signal } = this.#abort
    let timeLeft = limits.fillTimeoutMs
    try {
      signal.throwIfAborted()
      const chunks = withRetries(producer, signal, () => this.file.produced(), limits)
      for (let alive = false; ; alive = true) {
        const asked = performance.now()
        const silenceMs = this.#silenceLimitMs(alive, limits)
        const stopTimer = this.#limit(timeLeft, silenceMs)
        const next = await chunks.next().finally(stopTimer)
        if (next.done) break
        this.#begun = true
        timeLeft -= performance.now() - asked
        if (next.value.length === 0) continue
        await this.#take(next.value, limits)
      }
      this.file.complete()
    } catch (error) {
      // Aborts the signal too, in case the producer is still running.
      this.stop(error instanceof FillError ? error : producerError(error))
    }
  }

  async #take(produced: Produce, limits: FillLimits): Promise<void> {
    if (this.file.body) throw new FillError('producer', 'a producer made bytes after a revision')
    if (!(produced instanceof Revision)) return this.#append(produced, limits)
    this.base = produced.base
    if (this.file.revise(produced.rope)) return
    for (const chunk of produced.rope.chunks) await this.#append(chunk, limits)
  }

  #silenceLimitMs(alive: boolean, { fillStartMs, fillFirstByteMs, fillSilenceMs }: FillLimits): number {
    if (this.length > 0) return fillSilenceMs
    const firstByteMs = fillFirstByteMs ?? fillSilenceMs
    return alive ? firstByteMs : (fillStartMs ?? firstByteMs)
  }

  async #append(chunk: Buffer, { fillSilenceMs }: FillLimits): Promise<void> {
    let stopTimer: (() => void) | undefined
    const wait = (): void => {
      stopTimer = callAfter(fillSilenceMs, () => {
        wait()
        this.#unblock()
      })
    }
    wait()
    await this.file.append(chunk).finally(() => stopTimer?.())
  }

  #unblock(): void {
    if (!this.file.unblock()) this.stop(new FillError('silence', 'its followers read no bytes'))
  }

  #limit(timeLeftMs: number, silenceMs: number): () => void {
    // Called for each chunk: the error, whose stack trace costs more than all else here, is made when it is needed.
    return callAfter(Math.min(timeLeftMs, silenceMs), () => this.stop(this.#overdue(timeLeftMs, silenceMs)))
  }

  #overdue(timeLeftMs: number, silenceMs: number): FillError {
    if (timeLeftMs <= silenceMs) return new FillError('timeout', 'the fill took too long')
    const fault = this.length === 0 ? 'first-byte' : 'silence'
    return new FillError(fault, `the fill was silent for ${silenceMs / 1000} seconds`)
  }

  /** Ends a running fill with this error: followers get it at once, the producer through its signal. */
  stop(error: FillError): void {
    this.file.fail(error)
    this.#abort.abort(error)
  }
}

function producerError(cause: unknown): FillError {
  return new FillError('producer', cause instanceof Error ? cause.message : String(cause), { cause })
}
