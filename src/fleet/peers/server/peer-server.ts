import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Address, UnixAddress } from '../../../config/values/addresses.js'
import { systemClock, type Clock } from '../../../limits/clock.js'
import { atMostEvery, type Log } from '../../../telemetry/log.js'
import { AnswerStream } from './answer-stream.js'
import { listenAt } from './listening.js'
import { PeerAnswers, type PeerAnswersOptions } from './peer-answers.js'
import { PeerRefused } from '../peer.js'
import { Prover } from '../protocol/proof.js'
import { bodyOf, RequestCheck } from './request-check.js'
import { QuestionLimit } from './question-limit.js'
import {
  bodyMax,
  entriesPath,
  headOf,
  messagesPath,
  sessionHeader,
  type RequestHead,
} from '../protocol/request-head.js'

/** Certificates in PEM. */
export interface PeerTls {
  readonly cert: string
  readonly key: string
  /** Authorities that must have signed the certificates of other nodes; undefined: asking nodes show none. */
  readonly ca?: string | undefined
}

export interface PeerServerOptions extends PeerAnswersOptions {
  /** This node's name. */
  readonly node: string
  /** The fleet secret, of 16 characters or more. */
  readonly secret?: string | undefined
  readonly tls?: PeerTls | undefined
  /** Only on a Unix socket, whose permissions decide who may ask: connections over TCP are closed. */
  readonly isLocal?: boolean | undefined
  readonly log: Log
  readonly clock?: Clock | undefined
  readonly limits?: Partial<PeerServerLimits> | undefined
}

export interface PeerServerLimits {
  /** Questions under way; further ones are refused. */
  readonly questions: number
  /** Bytes of all questions under way. */
  readonly questionBytes: number
  readonly connections: number
  /** Milliseconds for the head of a request, and for the whole request. */
  readonly headMs: number
  readonly requestMs: number
  /** Milliseconds for which an idle connection is kept. */
  readonly idleMs: number
  /** Milliseconds between two signs of life. */
  readonly signMs: number
  /** Milliseconds for which an asking node may read nothing. */
  readonly stallMs: number
}

const defaults: PeerServerLimits = {
  questions: 4096,
  questionBytes: 256 << 20,
  connections: 8192,
  headMs: 5000,
  requestMs: 30_000,
  idleMs: 60_000,
  signMs: 1000,
  stallMs: 600_000,
}

/** Milliseconds between two log lines about requests that are not from nodes of the fleet. */
const logMs = 60_000

/**
 * Answers other nodes over HTTP/1.1. A node must prove that it belongs to the fleet: by its certificate, by the fleet secret
 * (protocol/proof.ts says what that protects against), or both; on a Unix socket, by being able to connect.
 */
export class PeerServer {
  /** For a listener of the caller's; or use listen(). */
  readonly server: Server | TlsServer
  readonly #options: PeerServerOptions
  readonly #limits: PeerServerLimits
  readonly #clock: Clock
  readonly #prover: Prover
  readonly #check: RequestCheck
  readonly #answers: PeerAnswers
  readonly #limit: QuestionLimit
  readonly #streams = new Set<AnswerStream>()
  readonly #sockets = new Set<Socket>()
  readonly #logStranger: (reason: string, request: IncomingMessage) => void
  #stopSigns: (() => void) | undefined
  #closing: Promise<void> | undefined

  /** @throws Error if there is nothing by which nodes could be known, or the certificates or the secret cannot be used */
  constructor(options: PeerServerOptions) {
    const { secret, tls, isLocal = false, log, clock = systemClock } = options
    if (secret === undefined && tls?.ca === undefined && !isLocal) {
      throw new Error('peers over TCP need a fleet secret, or an authority that signs their certificates')
    }
    this.#options = options
    this.#limits = { ...defaults, ...options.limits }
    this.#clock = clock
    this.#prover = new Prover(secret)
    this.#check = new RequestCheck(this.#prover)
    this.#answers = new PeerAnswers(options)
    this.#limit = new QuestionLimit(this.#limits.questions, this.#limits.questionBytes)
    this.#logStranger = atMostEvery(logMs, (reason: string, { socket }: IncomingMessage) =>
      log.warn({ reason, remoteAddress: socket.remoteAddress }, 'refused a request to the peers’ address'),
    )
    this.server = this.#create((request, response) => void this.#take(request, response), tls)
  }

  #create(listener: RequestListener, tls: PeerTls | undefined): Server | TlsServer {
    const { connections, headMs, requestMs, idleMs } = this.#limits
    const http: ServerOptions = {
      headersTimeout: headMs,
      requestTimeout: requestMs,
      keepAliveTimeout: idleMs,
      // Node searches for overdue requests at intervals.
      connectionsCheckingInterval: Math.ceil(headMs / 4),
      // Finds hosts that have vanished.
      keepAlive: true,
      keepAliveInitialDelay: 10_000,
      noDelay: true,
    }
    const server = tls
      ? createTlsServer({ ...http, ...contextOf(tls), handshakeTimeout: headMs }, listener)
      : createServer(http, listener)
    server.maxConnections = connections
    server.on('connection', (socket: Socket) => {
      socket.on('error', () => {})
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      if (this.#options.isLocal && socket.remoteAddress !== undefined) socket.destroy()
    })
    // A node that waits for 100 (Continue) or the like is none of this program.
    server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) =>
      reject(response, 417),
    )
    return server
  }

  /**
   * Listens, also in a worker of Node's cluster, with a socket of this process's own.
   * @returns the URL, or `unix:/path`
   */
  async listen(address: Address | UnixAddress): Promise<string> {
    const { tls, log } = this.#options
    const url = await listenAt(
      this.server,
      'path' in address ? address : { ...address, ...(tls && { tls: true }) },
    )
    // No descriptors left, say. Without a listener, that would end the program.
    this.server.on('error', (err) => log.error({ err }, 'cannot accept a connection of another node'))
    return url
  }

  /** Uses other certificates for connections that come from now on. @throws Error if they cannot be used */
  setTls(tls: PeerTls): void {
    if ('setSecureContext' in this.server) this.server.setSecureContext(contextOf(tls))
  }

  /** Questions under way. */
  get questions(): number {
    return this.#limit.count
  }

  /**
   * Listens no more, and refuses new questions. Resolves when those under way are answered; after so many milliseconds their
   * connections are closed.
   */
  close(ms = 0): Promise<void> {
    this.#closing ??= this.#close(ms)
    return this.#closing
  }

  async #close(ms: number): Promise<void> {
    const { server } = this
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    // Also those on which no request has come, or no end of a handshake.
    const closeAll = (): void => {
      for (const socket of this.#sockets) socket.destroy()
    }
    const stop = this.#clock.after(ms, closeAll)
    this.#limit.whenNone(closeAll)
    await closed
    stop()
    this.#stopSigns?.()
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => {})
    response.on('error', () => {})
    const { method = '', url: path = '' } = request
    if (method !== 'POST' || (path !== entriesPath && path !== messagesPath)) return reject(response, 404)
    if (this.#closing) return reject(response, 503)
    const head = headOf(request.headers)
    if (!head) return this.#refuseStranger('it has no proof', request, response)
    if (head.to !== this.#options.node) return reject(response, 421, `this is node ${this.#options.node}`)
    const wrong = this.#check.faultOf(method, path, head)
    // The proof is right, and the node learns the session: no reason to log.
    if (wrong === 'ended') {
      response.setHeader(sessionHeader, this.#check.session)
      return reject(response, 401, 'another session')
    }
    if (wrong !== undefined) return this.#refuseStranger(wrong, request, response)
    if (head.length > bodyMax) return reject(response, 413)
    await this.#answer(path, head, request, response)
  }

  #refuseStranger(reason: string, request: IncomingMessage, response: ServerResponse): void {
    this.#logStranger(reason, request)
    // Idle connections are kept for nodes only: there is a limit to their number.
    response.setHeader('Connection', 'close')
    reject(response, 401, reason)
  }

  async #answer(path: string, head: RequestHead, request: IncomingMessage, response: ServerResponse) {
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      [sessionHeader]: this.#check.session,
    })
    response.flushHeaders()
    const { stallMs } = this.#limits
    const stream = new AnswerStream(response, {
      prover: this.#prover,
      request: head.proof,
      clock: this.#clock,
      stallMs,
    })
    const release = this.#limit.take(head.length)
    if (!release) {
      this.#options.metrics.fleetPeerRequests.inc({ direction: 'answered', result: 'refused' })
      const { why } = new PeerRefused('elsewhere')
      return stream.end('refused', { why, message: 'too many questions are under way' })
    }
    this.#streams.add(stream)
    this.#stopSigns ??= this.#sign()
    try {
      const body = await bodyOf(request, head)
      if (!body) return stream.break()
      if (path === messagesPath) this.#answers.hear(body, stream)
      else await this.#answers.answer(body, { ...head, headers: request.headers }, stream)
      await stream.finished()
    } finally {
      this.#streams.delete(stream)
      release()
    }
  }

  /** Sends signs of life on all answers as long as there are any. */
  #sign(): () => void {
    return this.#clock.after(this.#limits.signMs, () => {
      for (const stream of this.#streams) stream.sign()
      this.#stopSigns = this.#streams.size > 0 ? this.#sign() : undefined
    })
  }
}

const contextOf = ({ cert, key, ca }: PeerTls) => ({
  cert,
  key,
  ...(ca !== undefined && { ca }),
  requestCert: ca !== undefined,
  rejectUnauthorized: ca !== undefined,
})

const statusTexts: Readonly<Record<number, string>> = {
  404: 'only nodes of the fleet are answered here',
  413: `a question has at most ${bodyMax} bytes`,
  417: 'no expectation is met here',
  503: 'this node is about to end',
}

/** Answers what is not a question of this fleet. */
function reject(response: ServerResponse, status: number, reason = statusTexts[status] ?? ''): void {
  const body = `refstream: ${reason}\n`
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    // A request that comes in spite of this is not read to its end.
    ...((status === 503 || status === 413) && { Connection: 'close' }),
  })
  response.end(body)
}
