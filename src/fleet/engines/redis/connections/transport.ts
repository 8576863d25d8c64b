import type { Connect, ConnectionOptions, RedisConnection, ServerAddress } from './connection.js'

/** How commands reach the server that has a key: one server, one that Sentinel names, or the nodes of a cluster. */
export interface RedisTransport {
  /** Sends a command to the server that has the key. Rejects at once if it is not connected. */
  send(key: string, command: readonly string[]): Promise<unknown>
  /** Opens a connection of its own to a server that has the fleet's channels. */
  connect(): Promise<RedisConnection>
  close(): void
}

export interface TransportOptions {
  readonly connect: Connect
  readonly hosts: readonly ServerAddress[]
  readonly connection: ConnectionOptions
  /** Called when it becomes known that commands can, or cannot, be sent. @param error undefined: they can */
  readonly changed?: (error: Error | undefined) => void
}
