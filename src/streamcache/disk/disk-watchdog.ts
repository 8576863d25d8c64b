/** Most operations that run at once. libuv runs all file operations of a process on four threads; one is left to others. */
const maxConcurrent = 3
/** Longest time in milliseconds for one operation, whatever limit the owner sets. */
const maxRunMs = 10_000
/** Operations that may wait before no new file is begun: each has bytes in memory, and most have an open file. */
const backlogMax = 256

/** An operation that waits to be started. */
interface Waiting {
  readonly start: () => void
  readonly fail: (error: Error) => void
}

/**
 * Puts a time limit on every operation of a disk. An operation that hangs in the kernel cannot be cancelled, and occupies
 * a thread that the whole process needs. So as long as one is overdue, no other is started, those that wait fail, and each
 * new one fails at once. The disk is used again when the overdue operations have returned.
 *
 * The time that an operation waits for others does not count: a disk with much to do is not one that hangs. What waits is
 * bounded where it begins, by `behind`.
 */
export class DiskWatchdog {
  readonly #limitMs: number
  readonly #queue: Waiting[] = []
  #running = 0
  #overdue = 0

  /** @param limitMs longest time for one operation, in milliseconds; 10 seconds at most */
  constructor(limitMs = maxRunMs) {
    this.#limitMs = Math.min(limitMs, maxRunMs)
  }

  /** Do so many operations wait that no other file should be begun? */
  get behind(): boolean {
    return this.#queue.length >= backlogMax
  }

  /**
   * Runs an operation as soon as a thread may be used for it.
   * @param cameLate called with the result of an operation that was overdue, so that it can be released
   * @throws the operation's error, or one that says that the disk does not answer
   */
  run<T>(operation: () => Promise<T>, cameLate?: (value: T) => void): Promise<T> {
    if (this.#overdue > 0) return Promise.reject(notAnswering())
    return new Promise((resolve, reject) => {
      const start = async (): Promise<void> => {
        let state: 'running' | 'overdue' = 'running'
        // The compiler does not see that `state` changes during an await.
        const isOverdue = (): boolean => state === 'overdue'
        const timer = setTimeout(() => {
          state = 'overdue'
          reject(notAnswering())
          this.#hangs()
        }, this.#limitMs)
        this.#running++
        try {
          const value = await operation()
          if (isOverdue()) cameLate?.(value)
          else resolve(value)
        } catch (error) {
          reject(error)
        }
        clearTimeout(timer)
        this.#running--
        if (isOverdue()) this.#overdue--
        this.#startNext()
      }
      this.#queue.push({ start: () => void start(), fail: reject })
      this.#startNext()
    })
  }

  /** An operation is overdue: what waits would wait for it. */
  #hangs(): void {
    this.#overdue++
    for (const { fail } of this.#queue.splice(0)) fail(notAnswering())
  }

  #startNext(): void {
    while (this.#overdue === 0 && this.#running < maxConcurrent && this.#queue.length > 0)
      this.#queue.shift()?.start()
  }
}

const notAnswering = (): Error => new Error('the disk does not answer')
