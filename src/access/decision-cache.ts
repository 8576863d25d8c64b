import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'

export interface DecisionCacheOptions {
  /** Milliseconds for which a verdict may be used, from when it was asked for; 0: only by those who came before. */
  readonly forMs: number
  /** Most verdicts that are remembered. */
  readonly max: number
  /** Does a verdict follow from the question alone, whenever it is asked? Then whoever asks may share one on its way. */
  readonly timeless?: boolean
}

/** A question that has been asked, and is not answered yet. */
interface Round<V> {
  readonly askedAt: number
  readonly answer: Promise<V>
  /** Those who came too late for it; the same is asked for them when it is answered. */
  next?: { readonly begin: () => void; readonly answer: Promise<V> }
}

/**
 * Verdicts on questions that hold secrets. Each is remembered for a short time, and those who ask the same at once share
 * one question. No verdict is used that was asked for longer ago than it may be remembered: who comes later shares the
 * next question with all who come until that is asked. So of each question at most one is on its way.
 *
 * Equal means equal in every part; what is kept of the parts is a keyed hash, so that no secret outlives its request.
 */
export class DecisionCache<V extends object> {
  readonly #options: DecisionCacheOptions
  readonly #key = randomBytes(32)
  readonly #known: LRUCache<string, V>
  readonly #rounds = new Map<string, Round<V>>()

  constructor(options: DecisionCacheOptions) {
    this.#options = options
    this.#known = new LRUCache({ max: options.max, ttl: Math.max(options.forMs, 1) })
  }

  /** The verdict on a question. @throws what `ask` throws; that is remembered for nobody but those who wait for it */
  async of(parts: readonly unknown[], ask: () => Promise<V>): Promise<V> {
    const key = createHmac('sha256', this.#key).update(JSON.stringify(parts)).digest('base64')
    const known = this.#known.get(key)
    if (known) return known
    const round = this.#rounds.get(key)
    if (!round) return this.#ask(key, ask)
    const { forMs, timeless } = this.#options
    if (timeless || performance.now() - round.askedAt < forMs) return round.answer
    round.next ??= this.#gather(key, ask)
    return round.next.answer
  }

  #ask(key: string, ask: () => Promise<V>): Promise<V> {
    const round: Round<V> = { askedAt: performance.now(), answer: ask() }
    this.#rounds.set(key, round)
    const over = (verdict?: V): void => {
      if (verdict) this.#remember(key, verdict, round.askedAt)
      // Those who gather take its place; until then whoever comes gathers with them.
      if (round.next) round.next.begin()
      else this.#rounds.delete(key)
    }
    round.answer.then(over, () => over())
    return round.answer
  }

  #gather(key: string, ask: () => Promise<V>): NonNullable<Round<V>['next']> {
    let begin = (): void => {}
    const begun = new Promise<void>((resolve) => (begin = resolve))
    return { begin, answer: begun.then(() => this.#ask(key, ask)) }
  }

  #remember(key: string, verdict: V, askedAt: number): void {
    const { forMs, timeless } = this.#options
    const ttl = timeless ? forMs : forMs - (performance.now() - askedAt)
    if (ttl > 0) this.#known.set(key, verdict, { ttl })
  }
}
