import { FillError } from './fill-error.js'
import type { Follower } from './follower.js'
import type { GrowingFile } from './growing-file.js'
import { withRetries, type RetryOptions } from './retry.js'
import { callAfter } from './timer.js'

/**
 * Makes an entry's bytes. Runs once per fill; its end means that the bytes are whole, a throw that they are not.
 * When the signal aborts, it should release what it holds and throw. An empty chunk says that it is alive.
 */
export type Producer = (signal: AbortSignal) => AsyncIterable<Buffer>

/**
 * How a fill ended. `committed`: kept for reuse. `unshared`: sound, but its state had passed; it served its followers.
 * `loser`: another fill had already committed the same state.`unstored`: sound, but the disk failed, has no
 * room, or the entry is too large for it. `failed`.
 */
export type FillResult = 'committed' | 'unshared' | 'loser' | 'unstored' | 'failed'

export interface FillLimits extends RetryOptions {
  /** Longest time that a source may take in all, pauses for slow followers not counted. */
  readonly fillTimeoutMs: number
  /** Longest time before a source says anything, be it an empty chunk; `fillFirstByteMs` if left out. */
  readonly fillStartMs?: number
  /** Longest time from then to the first byte; `fillSilenceMs` if left out. */
  readonly fillFirstByteMs?: number
  /** Longest time between two chunks; also the longest pause for slow followers or a slow disk. */
  readonly fillSilenceMs: number
}

/** What a fill makes: bytes under a key and a state token, growing or whole, and those who follow them. */
export class Entry {
  readonly key: string
  /** The state that the bytes stand for; undefined if it could not be named, so that nobody may join later. */
  readonly token: string | undefined
  readonly file: GrowingFile
  readonly #abort = new AbortController()

  constructor(key: string, token: string | undefined, file: GrowingFile) {
    this.key = key
    this.token = token
    this.file = file
  }

  /** May somebody attach now and read from byte 0? */
  get joinable(): boolean {
    return this.file.joinable
  }

  /** @throws the fill's error if it failed */
  follow(): Follower {
    return this.file.follow()
  }

  /** Ready to answer? false: what is on disk is damaged, or cannot be read now. See Spill.load. */
  load(): boolean | Promise<boolean> {
    return this.file.spill.load()
  }

  /** Frees the memory of what is on disk, for somebody who holds these bytes in another form. */
  cool(): void {
    this.file.release()
  }

  /** Bytes so far, or in all. */
  get length(): number {
    return this.file.length
  }

  /** Bytes in all, once the fill has ended soundly. */
  get size(): number | undefined {
    return this.file.size
  }

  /** SHA-256 of all bytes in hexadecimal, once the fill has ended soundly. */
  get sha256(): string | undefined {
    return this.file.sha256
  }

  /** Why the fill failed, if it has. */
  get error(): unknown {
    return this.file.error
  }

  /** Somebody waits for the fill's end: no follower shall hold it up. */
  hurry(): void {
    this.file.hurry()
  }

  /** Resolves at the sound end of the fill. @throws FillError if it failed */
  end(): Promise<void> {
    this.hurry()
    return this.file.end()
  }

  /** Runs the source to its end into the file. Resolves when the source is done; errors go to the followers. */
  async run(source: Producer, limits: FillLimits): Promise<void> {
    const { signal } = this.#abort
    let timeLeft = limits.fillTimeoutMs
    try {
      signal.throwIfAborted()
      const chunks = withRetries(source, signal, () => this.file.produced(), limits)
      for (let alive = false; ; alive = true) {
        const asked = performance.now()
        const silenceMs = this.#patienceMs(alive, limits)
        const stopTimer = this.#limit(timeLeft, silenceMs)
        const next = await chunks.next().finally(stopTimer)
        if (next.done) break
        timeLeft -= performance.now() - asked
        if (next.value.length === 0) continue
        await this.#append(next.value, limits)
      }
      this.file.complete()
    } catch (error) {
      // Also ends the source, if it was not the source that failed.
      this.stop(error instanceof FillError ? error : producerError(error))
    }
  }

  #patienceMs(alive: boolean, { fillStartMs, fillFirstByteMs, fillSilenceMs }: FillLimits): number {
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
    if (!this.file.unblock()) this.stop(new FillError('silence', 'its followers take no bytes'))
  }

  #limit(timeLeftMs: number, silenceMs: number): () => void {
    const error =
      timeLeftMs <= silenceMs
        ? new FillError('timeout', 'the fill took too long')
        : new FillError(
            this.length === 0 ? 'first-byte' : 'silence',
            `the fill was silent for ${silenceMs / 1000} seconds`,
          )
    return callAfter(Math.min(timeLeftMs, silenceMs), () => this.stop(error))
  }

  /** Ends a growing fill with this error, for its followers at once and for its source by the signal. */
  stop(error: FillError): void {
    this.file.fail(error)
    this.#abort.abort(error)
  }
}

function producerError(cause: unknown): FillError {
  return new FillError('producer', cause instanceof Error ? cause.message : String(cause), { cause })
}
