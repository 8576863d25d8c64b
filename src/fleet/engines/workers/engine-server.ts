import type { FleetEngine, Hint } from '../../engine.js'
import { Batch } from './batch.js'
import type { Channel } from './channel.js'
import {
  encodeError,
  operations,
  restored,
  type Operation,
  type ToPrimary,
  type ToWorker,
} from './messages.js'

/** Most hints that are kept for a worker that does not take them. */
const hintsMax = 1000

/** Serves one engine to the workers of a host, each by a channel of its own; runs in the primary process. */
export class EngineServer {
  readonly #engine: FleetEngine
  readonly #clients = new Set<Client>()
  readonly #stopWatching: () => void

  /** @param engine not closed by this server */
  constructor(engine: FleetEngine) {
    this.#engine = engine
    this.#stopWatching = engine.watch((hint) => {
      for (const client of this.#clients) client.tell(hint)
    })
  }

  /** Serves a worker until its channel closes. Then its node has left the fleet, so that its fill leases end at once. */
  serve(node: string, channel: Channel): void {
    const client = new Client(this.#engine, channel)
    this.#clients.add(client)
    channel.onClose(() => {
      client.stop()
      this.#clients.delete(client)
      void this.#engine.leave(node).catch(() => {})
    })
  }

  close(): void {
    this.#stopWatching()
    for (const client of this.#clients) client.stop()
    this.#clients.clear()
  }
}

/** One worker. */
class Client {
  readonly #engine: FleetEngine
  readonly #batch: Batch<ToWorker>
  readonly #stopListening: () => void
  /** Hints that could not be sent yet, by what they are about. */
  readonly #hints = new Map<string, Hint>()
  #watches = false

  constructor(engine: FleetEngine, channel: Channel) {
    this.#engine = engine
    this.#batch = new Batch(channel, () => this.#sendHints())
    this.#stopListening = channel.onMessage((message) => {
      for (const item of message as readonly ToPrimary[]) this.#take(item)
    })
  }

  /** Sends a hint, which may be lost if the worker has not taken those before it. */
  tell(hint: Hint): void {
    if (!this.#watches) return
    const about = hint.kind === 'key' ? `${hint.repository} ${hint.key}` : hint.repository
    if (this.#hints.size < hintsMax) this.#hints.set(about, hint)
    this.#sendHints()
  }

  #sendHints(): void {
    if (this.#batch.isBehind) return
    for (const hint of this.#hints.values()) this.#batch.add(['hint', hint])
    this.#hints.clear()
  }

  #take(item: ToPrimary): void {
    if (item[0] === 'watch') {
      this.#watches = item[1]
      return
    }
    const [id, operation, ...args] = item
    this.#call(operation, args).then(
      (result) => this.#batch.add([id, 'ok', result]),
      (error: unknown) => this.#batch.add([id, 'failed', encodeError(error)]),
    )
  }

  async #call(operation: Operation, args: readonly unknown[]): Promise<unknown> {
    if (!operations.includes(operation)) throw new Error(`there is no operation ${operation as string}`)
    const engine = this.#engine as unknown as Record<Operation, (...args: unknown[]) => Promise<unknown>>
    return engine[operation](...args.map(restored))
  }

  stop(): void {
    this.#stopListening()
    this.#watches = false
    this.#hints.clear()
  }
}
