import type { RedisConnection } from './connection.js'
import { RedisLink } from './link.js'
import type { RedisTransport, TransportOptions } from './transport.js'

/** One server with a fixed address. */
export class SingleTransport implements RedisTransport {
  readonly #options: TransportOptions
  readonly #link: RedisLink

  constructor(options: TransportOptions) {
    this.#options = options
    const { changed } = options
    this.#link = new RedisLink({ connect: () => this.connect(), ...(changed && { changed }) })
  }

  send(_key: string, command: readonly string[]): Promise<unknown> {
    return this.#link.send(command)
  }

  connect(): Promise<RedisConnection> {
    const { connect, hosts, connection } = this.#options
    return connect(hosts[0]!, connection)
  }

  close(): void {
    this.#link.close()
  }
}
