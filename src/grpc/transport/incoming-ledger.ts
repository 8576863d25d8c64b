import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import { clientGroup } from '../../limits/admission/client-group.js'

/** Bytes that a client may send of a request before any of it is read. */
export const windowBytes = 16 * 1024

/** A call whose request has not come whole, with the memory that it holds. */
export interface IncomingCall {
  readonly stream: ServerHttp2Stream
  readonly client: Client
  readonly connection: Connection
  /** Bytes of memory. */
  weight: number
  /** Bytes of its message that have come. */
  messageBytes: number
}

/** All connections from one client address; see `clientGroup`. */
interface Client {
  readonly name: string
  weight: number
  /** Those that have been silent longest come first. */
  readonly calls: Set<IncomingCall>
}

interface Connection {
  messageBytes: number
  /** In the order in which they began. */
  readonly calls: Set<IncomingCall>
  /** Those that are not read until others have come. */
  readonly paused: Set<IncomingCall>
}

/** Accounts for the memory of calls whose request has not come whole: by call, by connection, by client, in total. */
export class IncomingLedger {
  readonly #connectionBytes: number
  readonly #clients = new Map<string, Client>()
  readonly #connections = new WeakMap<Http2Session, Connection>()
  #weight = 0

  /** @param connectionBytes bytes of messages on one connection beyond which only its first call may be read on */
  constructor(connectionBytes: number) {
    this.#connectionBytes = connectionBytes
  }

  /** Bytes of memory that all calls hold. */
  get weight(): number {
    return this.#weight
  }

  /** Enters a call that has begun. @param weight bytes of memory that it holds besides its message */
  open(stream: ServerHttp2Stream, session: Http2Session, weight: number): IncomingCall {
    const client = this.#clientOf(session)
    const connection = this.#connectionOf(session)
    const call: IncomingCall = { stream, client, connection, weight: 0, messageBytes: 0 }
    client.calls.add(call)
    connection.calls.add(call)
    this.#weigh(call, weight)
    return call
  }

  /** Counts bytes of a call's message that have come. @returns whether the call has to be paused */
  received(call: IncomingCall, bytes: number): boolean {
    const { client, connection } = call
    client.calls.delete(call)
    client.calls.add(call)
    call.messageBytes += bytes
    connection.messageBytes += bytes
    this.#weigh(call, bytes)
    if (this.#mayBeRead(call) || this.isPaused(call)) return false
    connection.paused.add(call)
    this.#weigh(call, windowBytes)
    return true
  }

  isPaused(call: IncomingCall): boolean {
    return call.connection.paused.has(call)
  }

  /** Takes out a call that has come whole or has ended. @returns the paused calls that may be read again */
  close(call: IncomingCall): IncomingCall[] {
    const { client, connection } = call
    client.calls.delete(call)
    if (client.calls.size === 0) this.#clients.delete(client.name)
    connection.calls.delete(call)
    connection.paused.delete(call)
    connection.messageBytes -= call.messageBytes
    this.#weigh(call, -call.weight)
    const readable = [...connection.paused].filter((next) => this.#mayBeRead(next))
    for (const next of readable) {
      connection.paused.delete(next)
      this.#weigh(next, -windowBytes)
    }
    return readable
  }

  /** Returns the call that has been silent longest, of the client whose calls hold most. */
  longestSilentOfHeaviestClient(): IncomingCall | undefined {
    let heaviest: Client | undefined
    for (const client of this.#clients.values()) {
      if (client.weight > (heaviest?.weight ?? 0)) heaviest = client
    }
    const [silent] = heaviest?.calls ?? []
    return silent
  }

  #mayBeRead(call: IncomingCall): boolean {
    const { messageBytes, calls } = call.connection
    const [first] = calls
    return messageBytes <= this.#connectionBytes || call === first
  }

  #weigh(call: IncomingCall, bytes: number): void {
    call.weight += bytes
    call.client.weight += bytes
    this.#weight += bytes
  }

  #clientOf({ socket }: Http2Session): Client {
    const name = clientGroup(socket.remoteAddress ?? '')
    const client = this.#clients.get(name) ?? { name, weight: 0, calls: new Set() }
    this.#clients.set(name, client)
    return client
  }

  #connectionOf(session: Http2Session): Connection {
    const known = this.#connections.get(session)
    if (known) return known
    const connection: Connection = { messageBytes: 0, calls: new Set(), paused: new Set() }
    this.#connections.set(session, connection)
    return connection
  }
}
