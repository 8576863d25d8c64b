import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { peerOf } from '../access/proxies.js'
import { clientGroup } from '../limits/admission/client-group.js'
import type { FairShares } from '../limits/admission/shares.js'
import { socketClient } from '../limits/connection/socket-client.js'
import type { StallableClient } from '../limits/connection/stall-detector.js'
import type { Channel } from './message.js'
import { reset } from './reset.js'

/** What all connections of a server share. */
export interface ConnectionsOptions {
  /** Starts to answer a request; the answer has ended when its response closes. */
  readonly answer: (request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean) => void
  /** Requests that have been read and wait for an earlier one on their connection, by clients. */
  readonly pipelined: FairShares
  /** Told how many requests were read and will not be answered, because their connection has ended. */
  readonly dropped: (count: number) => void
  /** Told of each connection that was cut because its client has too many requests waiting. */
  readonly cut: () => void
}

interface WaitingRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly awaitsContinue: boolean
}

/** Node's private state of a connection (_http_server.js): while `_paused` is set, Node does not resume reading. */
interface Internals {
  _paused?: boolean
  readonly parser?: { resume(): void } | null
}

/** Waiting requests at which reading stops. Not 1: that a client leaves is noticed only while its connection is read. */
const readAhead = 16
/** Milliseconds in which a client that still sends may read the last answer, before its connection is closed. */
const lingerMs = 5000
/** Milliseconds in which what the kernel was given can reach a client before the connection is reset. */
const beforeResetMs = 1000

const connections = new WeakMap<Duplex, Connection>()

/**
 * One client's connection. Its requests are answered one after another: pipelined ones wait before admission, and beyond
 * `readAhead` they are not even read. However the connection ends, what was handed over is sent first: a connection that
 * is closed while bytes of the client are unread is reset by the kernel, and the answer is lost.
 */
export class Connection implements Channel {
  readonly #socket: Socket
  readonly #options: ConnectionsOptions
  /** The client whose share its waiting requests take. Proxies do not pipeline, so the peer address is exact enough. */
  readonly #client: string
  #request: IncomingMessage | undefined
  #response: ServerResponse | undefined
  #waiting: WaitingRequest[] = []
  #isPaused = false
  /** No further request is answered on it. */
  #isEnding = false
  readonly #startNext = (): void => this.#next()

  constructor(socket: Socket, options: ConnectionsOptions) {
    this.#socket = socket
    this.#options = options
    this.#client = clientGroup(peerOf(socket).remoteAddress ?? '')
    connections.set(socket, this)
    // Node calls this to end a connection after its last response.
    socket.destroySoon = () => this.#end()
    socket.once('close', () => this.#drop())
  }

  /** Returns the connection of a socket. @throws TypeError if none was made for it */
  static of(socket: Duplex): Connection {
    const connection = connections.get(socket)
    if (!connection) throw new TypeError('this socket is not a connection of the server')
    return connection
  }

  /** Takes a request, to be answered now or after those before it. */
  take(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    if (this.#isEnding) return
    if (!this.#response) {
      this.#start(request, response, awaitsContinue)
      return
    }
    const { pipelined, cut } = this.#options
    if (pipelined.take(this.#client) !== undefined) {
      cut()
      this.#isEnding = true
      this.#socket.destroy()
      return
    }
    this.#waiting.push({ request, response, awaitsContinue })
    if (this.#waiting.length >= readAhead) this.#pause()
  }

  get received(): number {
    return this.#socket.bytesRead
  }

  get reader(): StallableClient {
    return socketClient(this.#socket)
  }

  cut(): void {
    this.#socket.destroy()
  }

  #start(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    this.#request = request
    this.#response = response
    response.on('close', this.#startNext)
    this.#options.answer(request, response, awaitsContinue)
  }

  #next(): void {
    this.#response = undefined
    if (this.#isEnding || this.#waiting.length === 0) return
    if (!this.#socket.writable) {
      this.#drop()
      return
    }
    const { request, response, awaitsContinue } = this.#waiting.shift() as WaitingRequest
    this.#options.pipelined.give(this.#client)
    if (this.#isPaused && this.#waiting.length < readAhead) this.#resume()
    this.#start(request, response, awaitsContinue)
  }

  /** pause() alone is not enough: Node resumes reading after each request that it has read and each answer that it sends. */
  #pause(): void {
    if (!this.#isPaused) {
      this.#isPaused = true
      Object.defineProperty(this.#socket, '_paused', { configurable: true, get: () => true, set: () => {} })
    }
    this.#socket.pause()
  }

  #resume(): void {
    const internals = this.#socket as Internals
    this.#isPaused = false
    delete internals._paused
    internals._paused = false
    internals.parser?.resume()
    this.#socket.resume()
  }

  #drop(): void {
    if (this.#waiting.length === 0) return
    this.#options.pipelined.give(this.#client, this.#waiting.length)
    this.#options.dropped(this.#waiting.length)
    this.#waiting = []
  }

  /**
   * Ends the connection because what came last is not a request. An answer to an earlier request is finished first.
   * @param answer the complete response to send if no answer is under way
   */
  reject(answer: string): void {
    const response = this.#response
    if (this.#isEnding) return
    if (!this.#socket.writable) {
      this.#socket.destroy()
    } else if (response && this.#request?.complete) {
      this.#isEnding = true
      this.#drop()
      this.#pause()
      if (!response.headersSent) response.shouldKeepAlive = false
      response.once('close', () => this.#end())
    } else if (response?.headersSent) {
      this.breakOff()
    } else {
      this.#socket.write(answer)
      this.#end()
    }
  }

  /**
   * Ends a response that cannot be finished in a way that its client sees as an error (R4): the connection closes before
   * the announced length or the last chunk. Where neither was announced (HTTP/1.0), it is reset.
   */
  breakOff(): void {
    const request = this.#request
    const response = this.#response
    while (response && response.writableCorked > 0) response.uncork()
    response?.flushHeaders()
    // The rest of the request is read and dropped.
    request?.unpipe()
    request?.resume()
    if (request?.httpVersion !== '1.0') {
      this.#end()
      return
    }
    this.#isEnding = true
    this.#drop()
    // The callback runs when the kernel has taken everything that was written before.
    this.#socket.write('', () => {
      const timer = setTimeout(() => reset(this.#socket), beforeResetMs)
      this.#socket.once('close', () => clearTimeout(timer))
    })
  }

  #end(): void {
    const socket = this.#socket
    this.#isEnding = true
    this.#drop()
    if (socket.writable) socket.end()
    const close = (): void => {
      if (this.#request?.complete !== false && !this.#isPaused) socket.destroy()
      else this.#linger()
    }
    if (socket.writableFinished) close()
    else socket.once('finish', close)
  }

  /** Lets the client read the answer: what it still sends is dropped until it closes too, for a limited time. */
  #linger(): void {
    const socket = this.#socket
    if (socket.destroyed) return
    if (this.#isPaused) this.#resume()
    else socket.resume()
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    socket.once('close', () => clearTimeout(timer))
  }
}
