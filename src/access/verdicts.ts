import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'

export interface VerdictsOptions {
  /** Milliseconds for which a verdict is remembered; 0: not at all. */
  readonly forMs: number
  /** Most verdicts that are remembered. */
  readonly max: number
}

/**
 * Verdicts on questions that hold secrets. Each is remembered for a short time, and those who ask the same while the
 * answer is on its way share it. Equal means equal in every part; what is kept of the parts is a keyed hash, so that no
 * secret outlives its request.
 */
export class Verdicts<V extends object> {
  readonly #options: VerdictsOptions
  readonly #key = randomBytes(32)
  readonly #known: LRUCache<string, V>
  readonly #asked = new Map<string, Promise<V>>()

  constructor(options: VerdictsOptions) {
    this.#options = options
    this.#known = new LRUCache({ max: options.max, ttl: Math.max(options.forMs, 1) })
  }

  /** The verdict on a question. @throws what `ask` throws; that is remembered for nobody but those who wait for it */
  async of(parts: readonly unknown[], ask: () => Promise<V>): Promise<V> {
    const key = createHmac('sha256', this.#key).update(JSON.stringify(parts)).digest('base64')
    const known = this.#known.get(key)
    if (known) return known
    let asked = this.#asked.get(key)
    if (!asked) {
      asked = ask().finally(() => this.#asked.delete(key))
      this.#asked.set(key, asked)
      asked.then(
        (verdict) => {
          if (this.#options.forMs > 0) this.#known.set(key, verdict)
        },
        () => {},
      )
    }
    return asked
  }
}
