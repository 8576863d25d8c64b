/** Operations under way at once. libuv runs all file operations of a program on four threads; one is left to others. */
const lanes = 3
/** Longest wait in milliseconds for one operation, however patient the owner is. */
const maxWaitMs = 10_000

/**
 * Puts a time limit on every operation of a disk. An operation that hangs in the kernel cannot be ended, and keeps a
 * thread from the whole program; so as long as one is late no other is begun, and each is refused at once. The disk is
 * used again when the late ones have come back.
 */
export class DiskWatch {
  readonly #limitMs: number
  readonly #waiting: (() => void)[] = []
  #running = 0
  #late = 0

  /** @param limitMs longest wait for one operation, in milliseconds; 10 seconds at most */
  constructor(limitMs = maxWaitMs) {
    this.#limitMs = Math.min(limitMs, maxWaitMs)
  }

  /**
   * Runs an operation when it is its turn.
   * @param cameLate told what an operation gave after its time, so that it can be released
   * @throws the operation's error, or one that says that the disk does not answer
   */
  run<T>(operation: () => Promise<T>, cameLate?: (value: T) => void): Promise<T> {
    if (this.#late > 0) return Promise.reject(doesNotAnswer())
    return new Promise((resolve, reject) => {
      let state: 'waiting' | 'running' | 'late' = 'waiting'
      // What an await has changed, the compiler does not see.
      const isLate = (): boolean => state === 'late'
      const timer = setTimeout(() => {
        if (state === 'running') this.#late++
        state = 'late'
        reject(doesNotAnswer())
      }, this.#limitMs)
      const start = async (): Promise<void> => {
        if (isLate()) return
        state = 'running'
        this.#running++
        try {
          const value = await operation()
          if (isLate()) cameLate?.(value)
          else resolve(value)
        } catch (error) {
          reject(error)
        }
        clearTimeout(timer)
        this.#running--
        if (isLate()) this.#late--
        this.#next()
      }
      this.#waiting.push(() => void start())
      this.#next()
    })
  }

  #next(): void {
    while (this.#late === 0 && this.#running < lanes && this.#waiting.length > 0) this.#waiting.shift()?.()
  }
}

const doesNotAnswer = (): Error => new Error('the disk does not answer')
