import type { Entry } from '../../src/streamcache/index.js'
import type { FakeClock } from './fake-clock.js'
import { Refused } from './aged-rig.js'
import { sha256 } from './sha256.js'

/** A rule was violated. */
export class Violation extends Error {}

/** How questions fail. `breaks`: after the first chunk of the answer. */
export type Mood = 'well' | 'away' | 'refuses' | 'breaks'

/** What a key's answer was in the past or is now, from one moment to another. */
interface Version {
  readonly text: string
  readonly from: number
  until: number
}

/** One key of an origin: its history, and the questions that were asked about it. */
export class VersionedKey {
  readonly #clock: FakeClock
  readonly #delay: () => number
  readonly #versions: Version[]
  mood: Mood = 'well'
  /** Does it compare answers with what the asker has? */
  compares = false
  /** Questions whose answer has not ended. */
  running = 0
  /** Questions so far. */
  asked = 0
  /** What the last question was answered with, and what was kept then. */
  last: { readonly text: string; readonly kept: Entry | undefined } | undefined

  /** @param delay how many milliseconds each part of an answer takes */
  constructor(clock: FakeClock, delay: () => number) {
    this.#clock = clock
    this.#delay = delay
    this.#versions = [{ text: 'a', from: -Infinity, until: Infinity }]
  }

  write(text: string): void {
    const now = this.#clock.now()
    this.#versions.at(-1)!.until = now
    this.#versions.push({ text, from: now, until: Infinity })
  }

  /** Was this the answer at some moment from then until now? */
  wasCurrent(text: string, since: number): boolean {
    return this.#versions.some((version) => version.text === text && version.until >= since)
  }

  async ask(kept: Entry | undefined, signal: AbortSignal): Promise<AsyncIterable<Buffer> | 'unchanged'> {
    this.asked++
    if (++this.running > 1) throw new Violation('two questions run at once')
    try {
      await this.#pass(signal)
      const { text } = this.#versions.at(-1)!
      await this.#pass(signal)
      if (this.mood === 'refuses') throw new Refused('refused')
      if (this.mood === 'away') throw new Error('away')
      this.last = { text, kept }
      if (this.compares && kept?.sha256 === sha256(text)) {
        this.running--
        return 'unchanged'
      }
      return this.#body(text, signal)
    } catch (error) {
      this.running--
      throw error
    }
  }

  async *#body(text: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      await this.#pass(signal)
      yield Buffer.from(text.slice(0, 1))
      await this.#pass(signal)
      if (this.mood === 'breaks') throw new Error('broken')
      yield Buffer.from(text.slice(1))
    } finally {
      this.running--
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const ms = this.#delay()
    if (ms === 0) return
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        cancel()
        reject(signal.reason)
      }
      const cancel = this.#clock.after(ms, () => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}
