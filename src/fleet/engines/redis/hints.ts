import type { Hint } from '../../engine.js'
import { RedisLink } from './connections/link.js'
import type { RedisTransport } from './connections/transport.js'
import { decodeHint } from './records.js'

/** Listens to a fleet's hints, on a connection of its own from the first listener on. What is told between two connections is lost. */
export class RedisHints {
  readonly #transport: RedisTransport
  readonly #channel: string
  readonly #listeners = new Set<(hint: Hint) => void>()
  #link: RedisLink | undefined

  constructor(transport: RedisTransport, channel: string) {
    this.#transport = transport
    this.#channel = channel
  }

  watch(listener: (hint: Hint) => void): () => void {
    const own = (hint: Hint): void => listener(hint)
    this.#listeners.add(own)
    this.#link ??= new RedisLink({ connect: () => this.#subscribed() })
    return () => this.#listeners.delete(own)
  }

  close(): void {
    this.#listeners.clear()
    this.#link?.close()
  }

  async #subscribed(): ReturnType<RedisTransport['connect']> {
    const connection = await this.#transport.connect()
    // A server that accepts and then says nothing must not hold this up for ever.
    const refused = connection.ended.then((error) => Promise.reject(error))
    const timer = setTimeout(() => connection.destroy(new Error('no answer to SUBSCRIBE')), subscribeMs)
    try {
      await Promise.race([connection.subscribe(this.#channel, (message) => this.#tell(message)), refused])
      return connection
    } catch (error) {
      connection.destroy()
      throw error
    } finally {
      clearTimeout(timer)
      refused.catch(() => {})
    }
  }

  #tell(message: string): void {
    const hint = decodeHint(message)
    if (hint) for (const listener of this.#listeners) listener(hint)
  }
}

/** Milliseconds within which a subscription must be confirmed. */
const subscribeMs = 2_000
