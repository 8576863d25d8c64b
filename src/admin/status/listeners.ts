import { Problem, type Reply } from '../endpoint.js'
import { EventStream } from './event-stream.js'

export interface ListenersOptions {
  /** Most at once. */
  readonly max: number
  /** Milliseconds between two events. */
  readonly everyMs: number
  /** Sends the next event to all; called while there is a listener, and not again before it has resolved. */
  readonly tick: (streams: Iterable<EventStream>) => Promise<void>
}

/** Listeners of one kind of events, of a bounded number. Nothing is computed while there is none. */
export class Listeners {
  readonly #options: ListenersOptions
  readonly #streams = new Set<EventStream>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: ListenersOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#streams.size
  }

  /** Returns the reply that adds a listener. @throws Problem 503 if there are too many */
  reply(): Reply {
    const { max } = this.#options
    if (this.#streams.size >= max)
      throw new Problem(503, `${max} listeners have such a stream open; try again later`)
    return {
      status: 200,
      stream: (response) => {
        const stream: EventStream = new EventStream(response, () => this.#remove(stream))
        this.#streams.add(stream)
        // The first event comes at once.
        if (this.#streams.size === 1) this.#begin()
      },
    }
  }

  #remove(stream: EventStream): void {
    this.#streams.delete(stream)
    if (this.#streams.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #begin(): void {
    const { everyMs, tick } = this.#options
    this.#timer = setTimeout(
      () => {
        const timer = this.#timer
        void tick(this.#streams)
          .catch(() => {})
          // All listeners may have gone meanwhile, and others have come.
          .then(() => this.#timer === timer && this.#streams.size > 0 && this.#begin())
      },
      this.#timer === undefined ? 0 : everyMs,
    ).unref()
  }
}
