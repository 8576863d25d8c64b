import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/**
 * Coalesces reads of epochs over all repositories and callers: one read runs at a time, and one that has not begun gathers
 * what all who come meanwhile want to know. So a burst costs two calls of the engine, however many repositories it is about.
 */
export class EpochReads {
  readonly #read: (repositories: string[], number: number) => Promise<void>
  #wanted = new Set<string>()
  #next: Promise<void> | undefined
  #running: Promise<void> | undefined
  #begun = 0

  /** @param read never rejects; called with the read's number, from 1 */
  constructor(read: (repositories: string[], number: number) => Promise<void>) {
    this.#read = read
  }

  /** Reads that have begun. */
  get begun(): number {
    return this.#begun
  }

  /** Resolves at the end of a read that begins after this call. @param repository left out: no repository is read */
  request(repository?: string): Promise<void> {
    if (repository !== undefined) this.#wanted.add(repository)
    return (this.#next ??= this.#runNext())
  }

  async #runNext(): Promise<void> {
    // All requests that arrive in the same iteration of the event loop share one read.
    await (this.#running ?? yieldToEventLoop())
    this.#next = undefined
    const wanted = [...this.#wanted]
    this.#wanted = new Set()
    const running = this.#read(wanted, ++this.#begun).finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }
}
