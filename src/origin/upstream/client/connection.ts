import type { Socket } from 'node:net'
import { Client, type buildConnector, type Dispatcher } from 'undici'
import type { Clock } from '../../../limits/clock.js'
import { ConnectFailed } from './errors.js'

/** A request whose connection is recorded. */
export interface TrackedDispatch extends Dispatcher.DispatchOptions {
  /** Called when a client of one connection takes the request; the connection itself may change until it is sent. */
  readonly taken?: (connection: Connection) => void
}

export interface ConnectionOptions {
  /** Milliseconds for a connection: name, TCP, a proxy's tunnel, and TLS. */
  readonly connectMs: number
  readonly clock: Clock
  /** Called when it has connected, and when that connection has closed. */
  readonly changed: (connection: Connection, isOpen: boolean) => void
}

/** undici's client of one connection at a time, which knows whether a request is the first on its connection. */
export class Connection extends Client {
  readonly #state: State

  constructor(origin: string | URL, options: Client.Options, own: ConnectionOptions) {
    const state: State = { socket: undefined, requests: 0, changed: () => {} }
    const connect = options.connect as buildConnector.connector
    super(origin, { ...options, connect: withTimeLimit(connect, own, state) })
    state.changed = (isOpen) => own.changed(this, isOpen)
    this.#state = state
  }

  override dispatch(options: TrackedDispatch, handler: Dispatcher.DispatchHandler): boolean {
    options.taken?.(this)
    return super.dispatch(options, handler)
  }

  /** Counts a request. @returns whether the connection was used for an earlier one */
  countRequest(): boolean {
    return this.#state.requests++ > 0
  }

  /** The error of the present socket, or of the last. */
  get socketError(): Error | null | undefined {
    return this.#state.socket?.errored
  }

  /** Closes the connection if no request uses it. */
  closeIdle(): void {
    if (this.stats.size === 0) this.#state.socket?.destroy()
  }
}

interface State {
  socket: Socket | undefined
  /** Requests that were sent over the socket. */
  requests: number
  changed: (isOpen: boolean) => void
}

/**
 * Returns a connector with one time limit for all that it does. Its errors are always ConnectFailed: undici tries without
 * end to connect after some errors of its own, among them those of a proxy's connection.
 */
function withTimeLimit(
  connect: buildConnector.connector,
  { connectMs, clock }: ConnectionOptions,
  state: State,
): buildConnector.connector {
  return (options, callback) => {
    let settled = false
    const settle = (error: Error | null, socket: Socket | null): void => {
      if (settled) {
        // Too late.
        socket?.on('error', () => {}).destroy()
        return
      }
      settled = true
      cancel()
      if (error || !socket) return callback(new ConnectFailed(reasonOf(error), { cause: error }), null)
      state.socket = socket
      state.requests = 0
      state.changed(true)
      socket.once('close', () => state.changed(false))
      callback(null, socket)
    }
    const cancel = clock.after(connectMs, () => {
      settle(new ConnectFailed(`not within ${connectMs / 1000} seconds`), null)
      const socket = started as Partial<Socket> | undefined
      socket?.destroy?.()
    })
    // The connector that undici builds returns the socket, which its types do not say.
    const started: unknown = connect(options, (error: Error | null, socket: Socket | null) =>
      settle(error, socket),
    )
  }
}

/** Describes why no connection came about: by a code where there is one, since messages name addresses and ports. */
function reasonOf(error: Error | null): string {
  if (!error) return 'no socket'
  const { code, message } = error as NodeJS.ErrnoException
  if (code === undefined) return message || error.name
  return code.startsWith('UND_ERR') ? message : code
}
