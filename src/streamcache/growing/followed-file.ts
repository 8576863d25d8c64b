import { AppendSignal } from './append-signal.js'
import { Follower, type Followed } from './follower.js'
import { Followers } from './followers.js'
import type { GrowingFileOptions } from './growing-file-options.js'
import { Signal } from '../waiting/signal.js'

/** What followers see of a growing file: they attach, wait for bytes, learn how it ended, and detach. */
export abstract class FollowedFile implements Followed {
  protected readonly followers: Followers
  /** Notified when bytes were appended or the file has ended. */
  protected readonly appended = new AppendSignal()
  /** Notified when the writer may no longer have to pause. */
  protected readonly eased = new Signal()
  /** Are the first bytes gone? */
  protected trimmed = false
  readonly #options: GrowingFileOptions
  #state: 'growing' | 'complete' | 'failed' = 'growing'
  #error: unknown

  constructor(options: GrowingFileOptions) {
    this.#options = options
    this.followers = new Followers(options.patienceMs)
  }

  /** Bytes so far. */
  abstract get length(): number

  /** Returns bytes at an offset below the length. */
  protected abstract bytesAt(offset: number): Buffer | Promise<Buffer>

  /** Called when a follower has detached. */
  protected abstract unfollowed(): void

  protected get growing(): boolean {
    return this.#state === 'growing'
  }

  /** Total length in bytes, once the file is complete. */
  get size(): number | undefined {
    return this.#state === 'complete' ? this.length : undefined
  }

  /** Why it failed, if it has. */
  get error(): unknown {
    return this.#error
  }

  /** Has more than one follower attached, or does its owner expect more? */
  get shared(): boolean {
    return this.followers.shared
  }

  get followed(): boolean {
    return this.followers.count > 0
  }

  /** Followers attached now. */
  get followerCount(): number {
    return this.followers.count
  }

  /** May a new follower attach? Not if the first bytes are gone. */
  get joinable(): boolean {
    return this.#state !== 'failed' && !this.trimmed
  }

  /** Attaches a new reader at byte 0. @throws the fill's error if it failed; an error if the first bytes are gone */
  follow(): Follower {
    if (this.#state === 'failed') throw this.#error
    if (this.trimmed) throw new Error('the beginning of this entry is gone')
    const follower = new Follower(this)
    this.followers.add(follower, this.growing)
    this.#options.followed?.(1)
    return follower
  }

  read(offset: number): Buffer | null | Promise<Buffer | null> {
    if (this.#state === 'failed') throw this.#error
    if (offset < this.length) return this.bytesAt(offset)
    if (this.#state === 'complete') return null
    return this.appended.wait().then(() => this.read(offset))
  }

  advanced(): void {
    if (this.growing) this.eased.notify()
  }

  detach(follower: Follower): void {
    this.followers.delete(follower)
    this.#options.followed?.(-1)
    this.eased.notify()
    this.unfollowed()
    if (this.growing && !this.followed) this.#options.unread?.()
  }

  protected succeed(): void {
    this.#state = 'complete'
  }

  protected break(error: unknown): void {
    this.#state = 'failed'
    this.#error = error
  }

  /** Resolves when the file is complete. @throws FillError if the fill failed */
  async end(): Promise<void> {
    while (this.growing) await this.appended.wait()
    if (this.#state === 'failed') throw this.#error
  }
}
