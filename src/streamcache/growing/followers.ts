import { FillError } from '../fill/fill-error.js'
import type { Follower } from './follower.js'

/** How long a follower may hold up others, in milliseconds, unless the owner says otherwise. */
const defaultPatienceMs = 5000

/** Where a follower is, and when it was first seen there. */
interface Seen {
  readonly offset: number
  /** In milliseconds of performance.now(). */
  readonly at: number
}

/** The followers of one growing file: how far they are, and whether one of them holds up the others. */
export class Followers {
  readonly #patienceMs: number
  /** Those that attached while the file grew. */
  readonly #attached = new Set<Follower>()
  readonly #seen = new WeakMap<Follower, Seen>()
  #count = 0
  #any = false
  #shared = false

  /** @param patienceMs how long a follower may read nothing while others wait for it */
  constructor(patienceMs = defaultPatienceMs) {
    this.#patienceMs = patienceMs
  }

  /** Followers attached now. */
  get count(): number {
    return this.#count
  }

  /** Has more than one been attached, or are more expected? */
  get shared(): boolean {
    return this.#shared
  }

  expectMore(): void {
    this.#shared = true
  }

  /** @param isGrowing left out: the file grows. Followers of a complete one hold up nobody: they are only counted. */
  add(follower: Follower, isGrowing = true): void {
    if (this.#any) this.#shared = true
    this.#any = true
    this.#count++
    if (isGrowing) this.#attached.add(follower)
  }

  delete(follower: Follower): void {
    this.#count--
    if (this.#attached.size > 0) this.#attached.delete(follower)
  }

  /** Returns the offset of the slowest; `end` if there is none. */
  slowest(end: number): number {
    let slowest = end
    for (const { offset } of this.#attached) slowest = Math.min(slowest, offset)
    return slowest
  }

  /** Returns the offset of the fastest; 0 if there is none. */
  fastest(): number {
    let fastest = 0
    for (const { offset } of this.#attached) fastest = Math.max(fastest, offset)
    return fastest
  }

  /**
   * Closes those with an error that hold up a writer and have read nothing for too long, if another one waits for the
   * writer. A follower that is alone holds up no other.
   * @param needed the writer goes on when all followers have come to this offset
   * @returns milliseconds after which to look again if nothing happens before; undefined: there is no need
   */
  closeStalled(needed: number): number | undefined {
    if (this.#attached.size < 2) return undefined
    const now = performance.now()
    const stalled: Follower[] = []
    let isAwaited = false
    let lookAgainMs = this.#patienceMs
    for (const follower of this.#attached) {
      const leftMs = this.#movedAt(follower, now) + this.#patienceMs - now
      if (follower.offset >= needed) isAwaited ||= follower.waiting
      // One that waits itself, for the disk, is not the cause.
      else if (leftMs > 0) lookAgainMs = Math.min(lookAgainMs, leftMs)
      else if (!follower.waiting) stalled.push(follower)
    }
    if (!isAwaited || stalled.length === 0) return lookAgainMs
    const message = `it read nothing for ${this.#patienceMs / 1000} seconds while others waited for it`
    for (const follower of stalled) follower.close(new FillError('stalled', message))
    return 0
  }

  /** Returns when a follower was first seen where it is now, in milliseconds of performance.now(). */
  #movedAt(follower: Follower, now: number): number {
    const { offset } = follower
    const seen = this.#seen.get(follower)
    if (seen?.offset === offset) return seen.at
    this.#seen.set(follower, { offset, at: now })
    return now
  }
}
