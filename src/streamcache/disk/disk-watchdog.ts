/** Most operations that run at once. libuv runs all file operations of a process on four threads; one is left to others. */
const maxConcurrent = 3
/** Longest wait in milliseconds for one operation, whatever limit the owner sets. */
const maxWaitMs = 10_000

/**
 * Puts a time limit on every operation of a disk. An operation that hangs in the kernel cannot be cancelled, and occupies
 * a thread that the whole process needs. So as long as one is overdue, no other is started and each new one fails at
 * once. The disk is used again when the overdue operations have returned.
 */
export class DiskWatchdog {
  readonly #limitMs: number
  readonly #queue: (() => void)[] = []
  #running = 0
  #overdue = 0

  /** @param limitMs longest wait for one operation, in milliseconds; 10 seconds at most */
  constructor(limitMs = maxWaitMs) {
    this.#limitMs = Math.min(limitMs, maxWaitMs)
  }

  /**
   * Runs an operation as soon as a thread may be used for it.
   * @param cameLate called with the result of an operation that was overdue, so that it can be released
   * @throws the operation's error, or one that says that the disk does not answer
   */
  run<T>(operation: () => Promise<T>, cameLate?: (value: T) => void): Promise<T> {
    if (this.#overdue > 0) return Promise.reject(notAnswering())
    return new Promise((resolve, reject) => {
      let state: 'waiting' | 'running' | 'overdue' = 'waiting'
      // The compiler does not see that `state` changes during an await.
      const isOverdue = (): boolean => state === 'overdue'
      const timer = setTimeout(() => {
        if (state === 'running') this.#overdue++
        state = 'overdue'
        reject(notAnswering())
      }, this.#limitMs)
      const start = async (): Promise<void> => {
        if (isOverdue()) return
        state = 'running'
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
      this.#queue.push(() => void start())
      this.#startNext()
    })
  }

  #startNext(): void {
    while (this.#overdue === 0 && this.#running < maxConcurrent && this.#queue.length > 0)
      this.#queue.shift()?.()
  }
}

const notAnswering = (): Error => new Error('the disk does not answer')
