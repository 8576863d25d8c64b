import { systemClock, type Clock } from './clock.js'

export interface EpisodeOptions {
  /** Milliseconds after which an episode counts as lasting. */
  readonly lastsMs: number
  /** Milliseconds without an occurrence that end an episode. */
  readonly pauseMs: number
  readonly clock?: Clock
}

/** A series of occurrences without a long pause between two of them. */
export class Episode {
  readonly #options: EpisodeOptions
  readonly #clock: Clock
  #since = -Infinity
  #last = -Infinity

  constructor(options: EpisodeOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Records an occurrence. @returns true if it starts an episode */
  record(): boolean {
    const now = this.#clock.now()
    const starts = now - this.#last > this.#options.pauseMs
    if (starts) this.#since = now
    this.#last = now
    return starts
  }

  /** Has the present episode lasted for `lastsMs`? */
  get lasts(): boolean {
    const { lastsMs, pauseMs } = this.#options
    return this.#clock.now() - this.#last <= pauseMs && this.#last - this.#since >= lastsMs
  }
}
