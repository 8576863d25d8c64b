/** Work that runs, or waits to be run. */
export interface Submitted<T> {
  /** What it returns; undefined: it was cancelled before it began. Rejects as it does. */
  readonly result: Promise<T | undefined>
  /** Takes it back, if it has not begun. */
  readonly cancel: () => void
}

/** Runs at most so many pieces of work at once; others wait, in the order of their arrival. The caller bounds how many wait. */
export class ConcurrencyLimit {
  readonly #most: number
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor(most: number) {
    this.#most = most
  }

  submit<T>(work: () => Promise<T>): Submitted<T> {
    let cancel = (): void => {}
    const result = new Promise<T | undefined>((resolve) => {
      const begin = (): void => resolve(this.#run(work))
      this.#waiting.add(begin)
      cancel = () => {
        if (this.#waiting.delete(begin)) resolve(undefined)
      }
    })
    this.#next()
    return { result, cancel }
  }

  #next(): void {
    for (const begin of this.#waiting) {
      if (this.#running >= this.#most) return
      this.#waiting.delete(begin)
      begin()
    }
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    this.#running++
    try {
      return await work()
    } finally {
      this.#running--
      this.#next()
    }
  }
}
