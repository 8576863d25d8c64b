import { constants, type Http2Server, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import { timerMaxMs } from '../../limits/clock.js'
import { isIPv6 } from 'node:net'
import {
  ResponderBuilder,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js'
import { http2Stream } from './http2-stream.js'

export interface IncomingRequestsOptions {
  /** Milliseconds in which a client must send something of a request that it has begun. */
  readonly idleMs: number
  /** Most bytes of memory for requests that have not come whole, over all connections. */
  readonly maxBytes: number
  /** Bytes of messages of such requests, on one connection, beyond which only the one that began first is read on. */
  readonly connectionBytes: number
  /** A call was ended for its request did not come. */
  readonly cut: (reason: 'silent' | 'memory') => void
}

/** Bytes of memory that an open call takes beside what its client has sent: 9 KiB, measured with 5000 of them. */
const callBytes = 10 * 1024
/** Most bytes of a call's metadata, as the fields of a head are counted in HTTP/2 (RFC 9113, 10.5.1). */
const metadataMax = 16 * 1024
/** Bytes that a client may send of a request before any of it is read. */
const windowBytes = 16 * 1024
/** Milliseconds in which a client must say that it knows these bounds; until then it need not keep them. */
const settingsMs = 10_000

/** A call whose request has not come whole. */
interface Incoming {
  readonly stream: ServerHttp2Stream
  readonly client: Client
  readonly connection: Connection
  readonly timer: NodeJS.Timeout
  weight: number
  /** Those of its message that have come. */
  bytes: number
}

/** Whoever connects from one address. */
interface Client {
  readonly name: string
  weight: number
  /** Those that have been silent longest come first. */
  readonly calls: Set<Incoming>
}

interface Connection {
  /** Of messages. */
  bytes: number
  /** In the order of their beginning. */
  readonly calls: Set<Incoming>
  /** Those that are not read until others have come. */
  readonly paused: Set<Incoming>
}

/**
 * Bounds what calls hold whose request has not come whole: grpc-js keeps what there is of it, and tells nobody before the
 * client has said that it is all. Nobody has been asked by then who he is, so no count of such calls may decide who is
 * served: it is bytes that are short.
 *
 * - HTTP/2 itself bounds the streams of a connection, a call's metadata, and what a client may send before it is read.
 * - On one connection, requests that are together too large are read one after another. Others are not held up.
 * - When all requests together hold too much, the address that holds most loses the call that has been silent longest.
 *   A request that comes as fast as the network allows is never that one while others are silent.
 * - A client that sends nothing for too long loses its call, DEADLINE_EXCEEDED.
 *
 * An answer that is whole before its request is, as errors are, ends the call (RFC 9113, 8.1): its client might else keep
 * it open for ever.
 */
export class IncomingRequests {
  readonly #options: IncomingRequestsOptions
  readonly #clients = new Map<string, Client>()
  readonly #connections = new WeakMap<Http2Session, Connection>()
  /** Calls as grpc-js has them, by their streams: from their beginning until they are taken into the books. */
  readonly #begun = new WeakMap<ServerHttp2Stream, ServerInterceptingCallInterface>()
  readonly #incoming = new WeakMap<ServerHttp2Stream, Incoming>()
  #weight = 0

  constructor(options: IncomingRequestsOptions) {
    this.#options = options
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#weight
  }

  /** To be given to the server of grpc-js, whose HTTP/2 server is then to be watched. */
  readonly interceptor: ServerInterceptor = ({ requestStream }, call) => {
    const stream = http2Stream(call)
    if (!stream) throw new Error('this version of @grpc/grpc-js is not supported; 1.14.7 is')
    this.#begun.set(stream, call)
    if (!requestStream) return new ServerInterceptingCall(call)
    // Many requests on one stream: the first tells that this is a client who means it.
    const listener = new ServerListenerBuilder()
      .withOnReceiveMessage((message, next) => {
        this.#came(stream)
        next(message)
      })
      .build()
    return new ServerInterceptingCall(
      call,
      new ResponderBuilder().withStart((next) => next(listener)).build(),
    )
  }

  watch(server: Http2Server): void {
    server.updateSettings({ initialWindowSize: windowBytes, maxHeaderListSize: metadataMax })
    server.on('session', (session) => {
      const timer = setTimeout(() => session.destroy(), settingsMs).unref()
      session.once('localSettings', () => clearTimeout(timer)).once('close', () => clearTimeout(timer))
    })
    const add = (stream: ServerHttp2Stream, _headers: unknown, _flags: unknown, raw: string[]): void =>
      this.#add(stream, raw)
    // Behind grpc-js's own listener, which answers some calls at once and begins the others.
    server.on('stream', add as (stream: ServerHttp2Stream) => void)
  }

  #add(stream: ServerHttp2Stream, rawHeaders: readonly string[]): void {
    const { session } = stream
    if (stream.endAfterHeaders || stream.closed || !session) return
    const metadataBytes = rawHeaders.reduce((sum, text) => sum + text.length, rawHeaders.length * 16)
    if (metadataBytes > metadataMax) {
      // It has not said yet that it knows of this bound.
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
      return
    }
    const client = this.#clientOf(session)
    const connection = this.#connectionOf(session)
    const timer = setTimeout(
      () => {
        // It is not its client that is silent.
        if (connection.paused.has(incoming)) timer.refresh()
        else this.#end(incoming, 'silent', status.DEADLINE_EXCEEDED, 'the request did not come in time')
      },
      Math.min(this.#options.idleMs, timerMaxMs),
    )
    const incoming: Incoming = { stream, client, connection, timer, weight: 0, bytes: 0 }
    this.#incoming.set(stream, incoming)
    client.calls.add(incoming)
    connection.calls.add(incoming)
    // HTTP/2's fields, and grpc-js's metadata.
    this.#weigh(incoming, callBytes + 2 * metadataBytes)
    const came = (): void => this.#came(stream)
    stream.on('data', (chunk: Buffer) => this.#read(stream, chunk))
    stream.once('end', came).once('close', came)
    stream.once('finish', () => {
      // grpc-js, and whoever it is to a client, shall have let go of it before.
      setImmediate(() => {
        if (this.#incoming.has(stream)) stream.close(constants.NGHTTP2_NO_ERROR)
      })
    })
    this.#makeRoom()
  }

  #read(stream: ServerHttp2Stream, chunk: Buffer): void {
    const incoming = this.#incoming.get(stream)
    if (!incoming) return
    const { client, connection, timer } = incoming
    timer.refresh()
    client.calls.delete(incoming)
    client.calls.add(incoming)
    incoming.bytes += chunk.length
    connection.bytes += chunk.length
    this.#weigh(incoming, chunk.length)
    if (!this.#mayBeRead(incoming) && !connection.paused.has(incoming)) {
      connection.paused.add(incoming)
      stream.pause()
      this.#weigh(incoming, windowBytes)
    }
    this.#makeRoom()
  }

  #mayBeRead(incoming: Incoming): boolean {
    const { bytes, calls } = incoming.connection
    const [first] = calls
    return bytes <= this.#options.connectionBytes || incoming === first
  }

  /** It has come, or never will. */
  #came(stream: ServerHttp2Stream): void {
    const incoming = this.#incoming.get(stream)
    if (!incoming) return
    const { client, connection, timer } = incoming
    this.#incoming.delete(stream)
    clearTimeout(timer)
    client.calls.delete(incoming)
    if (client.calls.size === 0) this.#clients.delete(client.name)
    connection.calls.delete(incoming)
    connection.paused.delete(incoming)
    connection.bytes -= incoming.bytes
    this.#weigh(incoming, -incoming.weight)
    for (const next of connection.paused) if (this.#mayBeRead(next)) this.#readOn(next)
  }

  #readOn(incoming: Incoming): void {
    const { connection, stream, timer } = incoming
    connection.paused.delete(incoming)
    this.#weigh(incoming, -windowBytes)
    timer.refresh()
    stream.resume()
  }

  #weigh(incoming: Incoming, bytes: number): void {
    incoming.weight += bytes
    incoming.client.weight += bytes
    this.#weight += bytes
  }

  #makeRoom(): void {
    while (this.#weight > this.#options.maxBytes) {
      let heaviest: Client | undefined
      for (const client of this.#clients.values()) {
        if (client.weight > (heaviest?.weight ?? 0)) heaviest = client
      }
      const [silent] = heaviest?.calls ?? []
      if (!silent) return
      const why = 'too much of other requests is still coming, and this one has been silent longest'
      this.#end(silent, 'memory', status.RESOURCE_EXHAUSTED, why)
    }
  }

  #end({ stream }: Incoming, reason: 'silent' | 'memory', code: status, details: string): void {
    this.#options.cut(reason)
    this.#came(stream)
    this.#begun.get(stream)?.sendStatus({ code, details })
    // grpc-js would wait for the rest of the request.
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR))
  }

  #clientOf({ socket }: Http2Session): Client {
    const name = addressOf(socket.remoteAddress)
    const client = this.#clients.get(name) ?? { name, weight: 0, calls: new Set() }
    this.#clients.set(name, client)
    return client
  }

  #connectionOf(session: Http2Session): Connection {
    const connection = this.#connections.get(session) ?? { bytes: 0, calls: new Set(), paused: new Set() }
    this.#connections.set(session, connection)
    return connection
  }
}

/** Whoever has one address of IPv6 has all that begin with the same 64 bits (RFC 4291, 2.5.4). */
function addressOf(address = ''): string {
  if (!isIPv6(address) || address.includes('.')) return address
  const [head = '', tail] = address.split('::')
  const groups = head.split(':').filter(Boolean)
  const rest = tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter(Boolean).length
  return [...groups, ...Array<string>(rest).fill('0')].slice(0, 4).join(':')
}
