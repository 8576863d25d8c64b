import { systemClock } from '../../../../limits/clock.js'
import type { RedisConnection, ServerAddress } from './connection.js'
import { RedisLink } from './link.js'
import type { RedisTransport, TransportOptions } from './transport.js'

/** Milliseconds between questions which server is the master. */
const askMs = 1_000

/**
 * The server that Sentinel names as master. Sentinels are asked before each connection, and every second, because a
 * master that was replaced while it was cut off from the sentinels does not end its connections.
 */
export class SentinelTransport implements RedisTransport {
  readonly #options: TransportOptions
  readonly #master: string
  readonly #sentinels: RedisLink
  readonly #link: RedisLink
  /** Where the link is connected to, or connecting. */
  #address: ServerAddress | undefined
  #stop: () => void = () => {}

  constructor(options: TransportOptions, master: string) {
    this.#options = options
    this.#master = master
    this.#sentinels = new RedisLink({ connect: () => this.#anySentinel() })
    const { changed } = options
    this.#link = new RedisLink({
      connect: async () => {
        await this.#sentinels.attempted
        this.#address = await this.#find()
        return options.connect(this.#address, options.connection)
      },
      ...(changed && { changed }),
    })
    this.#askLater()
  }

  send(_key: string, command: readonly string[]): Promise<unknown> {
    return this.#link.send(command)
  }

  async connect(): Promise<RedisConnection> {
    return this.#options.connect(await this.#find(), this.#options.connection)
  }

  close(): void {
    this.#stop()
    this.#link.close()
    this.#sentinels.close()
  }

  #askLater(): void {
    this.#stop = systemClock.after(askMs, () => {
      this.#askLater()
      this.#find().then(
        ({ host, port }) => {
          const known = this.#address
          if (known && (known.host !== host || known.port !== port))
            this.#link.reconnect('Sentinel names another master')
        },
        () => {},
      )
    })
  }

  async #find(): Promise<ServerAddress> {
    const answer = await this.#sentinels.send(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#master])
    const [host, port] = Array.isArray(answer) ? answer.map(String) : []
    if (host === undefined || port === undefined)
      throw new Error(`Sentinel knows no master named ${this.#master}`)
    return { host, port: Number(port) }
  }

  async #anySentinel(): Promise<RedisConnection> {
    const errors: unknown[] = []
    for (const host of this.#options.hosts) {
      try {
        return await this.#sentinel(host)
      } catch (error) {
        errors.push(error)
      }
    }
    throw new Error(`no sentinel answers: ${errors.map((error) => (error as Error).message).join('; ')}`)
  }

  /** Connects to a sentinel; with user and password only if it demands them, which are the servers' first of all. */
  async #sentinel(host: ServerAddress): Promise<RedisConnection> {
    const { connect, connection } = this.#options
    const { tls, connectMs, username, password } = connection
    try {
      return await connect(host, { tls, connectMs, username: undefined, password: undefined })
    } catch (error) {
      if (password === undefined || !/^NOAUTH\b/.test((error as Error).message)) throw error
      return connect(host, { tls, connectMs, username, password })
    }
  }
}
