import type { RedisPackage } from '../package.js'

/** One connection to a server, until it ends; it is never made anew. */
export interface RedisConnection {
  /** Sends a command. Commands that are sent in one turn of the event loop go out together. */
  send(command: readonly string[]): Promise<unknown>
  /** Calls for each message of a channel. */
  subscribe(channel: string, listener: (message: string) => void): Promise<void>
  /** Resolves with the reason when the connection has ended. */
  readonly ended: Promise<Error>
  destroy(error?: Error): void
}

export interface ServerAddress {
  readonly host: string
  readonly port: number
}

/** PEM files; left out: the system's authorities, no certificate of our own. */
export interface RedisTls {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

export interface ConnectionOptions {
  /** undefined: without TLS. */
  readonly tls: RedisTls | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database?: number
  /** Milliseconds within which a connection must be usable. */
  readonly connectMs: number
}

export type Connect = (server: ServerAddress, options: ConnectionOptions) => Promise<RedisConnection>

/** Most commands without an answer on one connection; further ones are rejected. */
const unansweredMax = 10_000

/** Returns what opens connections by the client library. All reconnecting is done by `RedisLink`. */
export function connectBy({ createClient, DisconnectsClientError }: RedisPackage): Connect {
  return async ({ host, port }, { tls, username, password, database, connectMs }) => {
    const target = { host, port, connectTimeout: connectMs, reconnectStrategy: false as const }
    const client = createClient({
      socket: tls ? { ...target, ...tls, tls: true as const } : target,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(database !== undefined && { database }),
      commandsQueueMaxLength: unansweredMax,
      disableOfflineQueue: true,
      // They send commands that a user may not be permitted to send.
      maintNotifications: 'disabled',
      disableClientInfo: true,
    })
    const { promise: ended, resolve } = withResolvers<Error>()
    let reason: Error | undefined
    const end = (error: Error): void => {
      reason ??= error
      resolve(error)
    }
    client.on('error', end)
    client.on('end', () => end(new Error('the connection was closed')))
    const destroy = (error = new Error('the connection was closed')): void => {
      end(error)
      client.destroy()
    }
    const timer = setTimeout(
      () => destroy(new Error(`${host}:${port} did not answer within ${connectMs} ms`)),
      connectMs,
    )
    try {
      // connect() may stay pending after destroy().
      await Promise.race([client.connect(), ended.then((error) => Promise.reject(error))])
    } catch (error) {
      destroy()
      throw error
    } finally {
      clearTimeout(timer)
    }
    return {
      send: (command) =>
        client.sendCommand(command).catch((error: unknown) => {
          // The library does not know why the connection was destroyed.
          throw (error instanceof DisconnectsClientError ? reason : undefined) ?? error
        }),
      subscribe: (channel, listener) => client.subscribe(channel, listener),
      ended,
      destroy,
    }
  }
}

interface Resolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers<T>(): Resolvers<T> {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((give) => (resolve = give))
  return { promise, resolve }
}
