import type { Clock } from '../limits/clock.js'
import type { FleetEngine } from './engine.js'

export interface EngineOpenerOptions {
  readonly open: () => Promise<FleetEngine>
  readonly clock: Clock
  readonly random: () => number
  readonly opened: (engine: FleetEngine) => void
  /** Called with each failure; the next try follows by itself. */
  readonly failed: (error: unknown) => void
}

/** Milliseconds after which a try is reported as failed; the longest wait before the second try, which doubles up to a bound. */
const tryMs = 5000
const baseMs = 500
const capMs = 2000

/** Opens an engine: tries until it succeeds, with exponential back-off and jitter. */
export class EngineOpener {
  readonly #options: EngineOpenerOptions
  #cancel: (() => void) | undefined
  #tries = 0
  #isOver = false

  constructor(options: EngineOpenerOptions) {
    this.#options = options
  }

  /** Begins a try. One that takes long is reported as a failure, and goes on: there is never more than one. */
  start(): void {
    const { open, clock, failed } = this.#options
    this.#cancel = clock.after(tryMs, () =>
      failed(new Error(`the engine of the fleet was not reached within ${tryMs} ms`)),
    )
    const ask = async (): Promise<FleetEngine> => open()
    ask().then(
      (engine) => this.#opened(engine),
      (error: unknown) => this.#failed(error),
    )
  }

  #opened(engine: FleetEngine): void {
    this.#cancel?.()
    if (this.#isOver) void engine.close().catch(() => {})
    else this.#options.opened(engine)
  }

  #failed(error: unknown): void {
    this.#cancel?.()
    if (this.#isOver) return
    const { clock, random, failed } = this.#options
    const boundMs = Math.min(capMs, baseMs * 2 ** this.#tries++)
    this.#cancel = clock.after(boundMs * (0.5 + random() / 2), () => this.start())
    failed(error)
  }

  /** Stops trying; an engine that opens later is closed. */
  close(): void {
    this.#isOver = true
    this.#cancel?.()
  }
}
