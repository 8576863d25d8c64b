import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/** Milliseconds for which a computation may keep the event loop. */
const runMs = 2
/** Steps between two looks at the clock: each takes a microsecond or two. */
const stepsPerLook = 64

/** Divides a long computation into slices, between which other work has its turn. */
export class Pace {
  readonly #signal: AbortSignal
  #sinceMs = performance.now()
  #steps = 0

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** Counts one step; true: `rest` is due. */
  get isDue(): boolean {
    return ++this.#steps % stepsPerLook === 0 && performance.now() - this.#sinceMs > runMs
  }

  /** Lets other work run. @throws the signal's reason if it has aborted */
  async rest(): Promise<void> {
    this.#signal.throwIfAborted()
    await yieldToEventLoop()
    this.#signal.throwIfAborted()
    this.#sinceMs = performance.now()
  }
}
