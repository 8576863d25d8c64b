import { systemClock, type Clock } from './clock.js'

export interface EpisodeOptions {
  /** Milliseconds after which it counts as lasting. */
  readonly lastsMs: number
  /** Milliseconds without any that end it. */
  readonly pauseMs: number
  readonly clock?: Clock
}

/** Something that happens again and again without a long pause. */
export class Episode {
  readonly #options: EpisodeOptions
  readonly #clock: Clock
  #since = -Infinity
  #last = -Infinity

  constructor(options: EpisodeOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** It happens. @returns true: for the first time since a pause */
  record(): boolean {
    const now = this.#clock.now()
    const begins = now - this.#last > this.#options.pauseMs
    if (begins) this.#since = now
    this.#last = now
    return begins
  }

  /** Has it gone on for long, and does it still? */
  get lasts(): boolean {
    const { lastsMs, pauseMs } = this.#options
    return this.#clock.now() - this.#last <= pauseMs && this.#last - this.#since >= lastsMs
  }
}
