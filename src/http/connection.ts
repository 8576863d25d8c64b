import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { clientGroup } from '../limits/admission/client-group.js'
import type { FairShares } from '../limits/admission/shares.js'
import { reset } from './reset.js'

/** What all connections of a server share. */
export interface ConnectionsOptions {
  /** Begins to answer a request; it has its answer when its response closes. */
  readonly answer: (request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean) => void
  /** Requests that have been read and wait for an earlier one on their connection, by clients. */
  readonly pipelined: FairShares
  /** So many requests were read and will not be answered, for their connection has ended. */
  readonly dropped: (count: number) => void
  /** A connection was cut, for there was no place for its requests. */
  readonly cut: () => void
}

interface Waiting {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly awaitsContinue: boolean
}

/** What Node keeps to itself of a connection (_http_server.js): while `_paused` is set, it does not read on. */
interface Inside {
  _paused?: boolean
  readonly parser?: { resume(): void } | null
}

/** Requests that wait for an earlier one before no more are read: a client that leaves is noticed only while it is read. */
const readAhead = 16
/** Milliseconds in which a client that still sends may read what it was told, before its connection is closed. */
const lingerMs = 5000
/** Milliseconds in which what the kernel was given reaches a client before its connection is reset. */
const beforeResetMs = 1000

const connections = new WeakMap<Duplex, Connection>()

/**
 * One client's connection. Its requests are answered one after another: those that it has sent ahead (pipelining) wait
 * without a place among all that are answered, and are not read on. However it ends, what was handed over goes out first:
 * a connection that is closed while bytes of the client are unread is reset by the kernel, and the answer is lost.
 */
export class Connection {
  readonly #socket: Socket
  readonly #options: ConnectionsOptions
  /** Whose share its waiting requests are taken from: proxies do not pipeline, so the other end will do. */
  readonly #client: string
  #request: IncomingMessage | undefined
  #response: ServerResponse | undefined
  #waiting: Waiting[] = []
  #isPaused = false
  /** Nothing more is answered on it. */
  #isEnding = false
  readonly #goOn = (): void => this.#next()

  constructor(socket: Socket, options: ConnectionsOptions) {
    this.#socket = socket
    this.#options = options
    this.#client = clientGroup(socket.remoteAddress ?? '')
    connections.set(socket, this)
    // Node ends a connection so after its last response.
    socket.destroySoon = () => this.#end()
    socket.once('close', () => this.#drop())
  }

  /** The connection that a request has come on. @throws TypeError if it was not made one */
  static of(socket: Duplex): Connection {
    const connection = connections.get(socket)
    if (!connection) throw new TypeError('this socket is no connection of the server')
    return connection
  }

  /** Has a request answered: now, or after those before it. */
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

  #start(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    this.#request = request
    this.#response = response
    response.on('close', this.#goOn)
    this.#options.answer(request, response, awaitsContinue)
  }

  #next(): void {
    this.#response = undefined
    if (this.#isEnding || this.#waiting.length === 0) return
    if (!this.#socket.writable) {
      this.#drop()
      return
    }
    const { request, response, awaitsContinue } = this.#waiting.shift() as Waiting
    this.#options.pipelined.give(this.#client)
    if (this.#isPaused && this.#waiting.length < readAhead) this.#resume()
    this.#start(request, response, awaitsContinue)
  }

  /** pause() alone does not do it: Node reads on after each request that it has read, and each answer that goes out. */
  #pause(): void {
    if (!this.#isPaused) {
      this.#isPaused = true
      Object.defineProperty(this.#socket, '_paused', { configurable: true, get: () => true, set: () => {} })
    }
    this.#socket.pause()
  }

  #resume(): void {
    const inside = this.#socket as Inside
    this.#isPaused = false
    delete inside._paused
    inside._paused = false
    inside.parser?.resume()
    this.#socket.resume()
  }

  #drop(): void {
    if (this.#waiting.length === 0) return
    this.#options.pipelined.give(this.#client, this.#waiting.length)
    this.#options.dropped(this.#waiting.length)
    this.#waiting = []
  }

  /**
   * What came last is no request. If an answer to one before it is under way, that is finished, and nothing follows it.
   * @param answer all bytes of what to say otherwise
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
   * Ends a response that cannot be finished so that its client sees it (R4): the connection closes before the length or
   * the last chunk that was announced. Where neither was (HTTP/1.0), it is reset.
   */
  breakOff(): void {
    const request = this.#request
    const response = this.#response
    while (response && response.writableCorked > 0) response.uncork()
    response?.flushHeaders()
    // What of the request was piped somewhere, or has not been asked for, is dropped.
    request?.unpipe()
    request?.resume()
    if (request?.httpVersion !== '1.0') {
      this.#end()
      return
    }
    this.#isEnding = true
    this.#drop()
    // Called when the kernel has all that was written before.
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

  /** Lets the client read: what it still sends is read and dropped until it closes too. */
  #linger(): void {
    const socket = this.#socket
    if (socket.destroyed) return
    if (this.#isPaused) this.#resume()
    else socket.resume()
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    socket.once('close', () => clearTimeout(timer))
  }
}
