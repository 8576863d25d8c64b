import { blockSize } from '../memory/blocks.js'
import { Signal } from '../waiting/signal.js'

/** Longest time in milliseconds before followers are notified of appended bytes. */
const lingerMs = 10

/**
 * Wakes the followers that wait at the end of a growing file: for the first bytes at once, then for each full block, or
 * after `lingerMs`. Git writes a few kilobytes at a time, and a write of a whole block to each of many clients costs
 * little more than a small one.
 */
export class AppendSignal {
  readonly #signal = new Signal()
  #timer: NodeJS.Timeout | undefined

  /** Resolves at the next notification. */
  wait(): Promise<void> {
    return this.#signal.wait()
  }

  /** Records that a file has grown from one length to another, in bytes. */
  grown(from: number, to: number): void {
    const fillsBlock = Math.floor(to / blockSize) > Math.floor(from / blockSize)
    if (from === 0 || fillsBlock) this.notify()
    else this.#timer ??= setTimeout(() => this.notify(), lingerMs)
  }

  /** Wakes all waiting followers now. */
  notify(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#signal.notify()
  }
}
