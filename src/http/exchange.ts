import type { IncomingMessage, ServerResponse } from 'node:http'
import { peerOf, TrustedProxies, type Client } from '../access/proxies.js'
import type { GitProcess } from '../git/git.js'
import type { ProtocolVersion } from '../git/protocol.js'
import type { ClientWatch } from '../limits/client-watch.js'
import { socketClient } from '../limits/socket-client.js'
import type { TurnBudget } from '../limits/turn-budget.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Holding } from '../limits/shares.js'
import { Connection } from './connection.js'
import type { Peeked } from './request-body.js'

/** What became of a request, as `refstream_requests_total` counts it. */
export type Outcome =
  | ('hit' | 'joined' | 'filled' | 'gathered' | 'passthrough')
  | ('not_found' | 'unauthenticated' | 'forbidden' | 'rejected' | 'shed' | 'aborted' | 'error')

/** A client that is gone; nobody needs an answer. */
class ClientHasLeft extends Error {
  override readonly name = 'ClientHasLeft'
  override readonly message = 'the client has left'
}

const ignore = (): void => {}
const noProxies = new TrustedProxies([])

/** Most bytes per write of what is in memory: a client that stops reading holds no more. */
export const writeMax = 1024 * 1024

/** Who keeps an eye on exchanges. */
export interface Overseers {
  readonly metrics: Metrics
  /** Clients that take their answers too slowly. */
  readonly readers: ClientWatch
  /** Those that send their requests too slowly. */
  readonly senders: ClientWatch
  /** Git processes to which nothing comes and from which nothing comes. */
  readonly processes: ClientWatch
  /** Of what is sent from memory. */
  readonly sending: TurnBudget
  /** Who may say for whom a request is; undefined: nobody. */
  readonly proxies?: TrustedProxies | undefined
}

/** Also a GET may have one, which its sender may be slow to send. */
const hasBody = ({ method, headers }: IncomingMessage): boolean =>
  method === 'POST' || 'transfer-encoding' in headers || (headers['content-length'] ?? '0') !== '0'

/** One request and its response, with what is told about them afterwards. */
export class Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly startedAt = performance.now()
  kind = 'other'
  version: ProtocolVersion = 0
  outcome: Outcome = 'error'
  repository: string | undefined
  sentBytes = 0
  /** Does the client wait for a word before it sends the body (RFC 9110, section 10.1.1)? */
  bodyWaits = false
  /** What has been read of its body, and what that takes of the memory that there is for bodies. */
  peeked: Peeked | undefined
  memory: Holding | undefined
  readonly #overseers: Overseers
  #left = false
  /** Made for those who ask: most exchanges end without anybody, and a signal costs more than a hit's own work. */
  #signal: AbortSignal | undefined
  #leftEarly: AbortSignal | undefined
  readonly #callsWhenLeft: (() => void)[] = []
  #client: Client | undefined
  #watched = false
  /** Of him who waits for the client to take more, or has waited. */
  #goOn: ((takesMore: boolean) => void) | undefined

  constructor(request: IncomingMessage, response: ServerResponse, overseers: Overseers) {
    this.request = request
    this.response = response
    this.#overseers = overseers
    // A connection that breaks is told by 'close'; an 'error' without a listener would end the program.
    response.on('error', ignore)
    const leave = (): void => {
      if (!response.writableFinished) this.#leave()
    }
    response.on('close', leave)
    if (hasBody(request)) this.#watchSender()
  }

  /** Whom the request comes from, as it was when somebody first wanted to know. */
  get client(): Client {
    const { socket, headers } = this.request
    return (this.#client ??= (this.#overseers.proxies ?? noProxies).clientOf(peerOf(socket), headers))
  }

  /** The client's address, by whatever trusted proxies it comes; empty if the connection has gone. */
  get clientAddress(): string {
    return this.client.address ?? ''
  }

  /** Has the client left before the end of its answer? */
  get left(): boolean {
    return this.#left
  }

  /** @throws if the client has left */
  throwIfLeft(): void {
    if (this.#left) throw new ClientHasLeft()
  }

  /** Calls back when the client leaves before the end of its answer, or at once if it has. */
  whenLeft(call: () => void): void {
    if (this.#left) call()
    else this.#callsWhenLeft.push(call)
  }

  /** Aborts when the client has left before the end of its answer. */
  get signal(): AbortSignal {
    return (this.#signal ??= this.#abortWhenLeft(() => true))
  }

  /**
   * Aborts when the client has left before the end of its request. A push that has arrived whole is carried out to its
   * end, hooks and all, whoever still listens.
   */
  get leftEarly(): AbortSignal {
    return (this.#leftEarly ??= this.#abortWhenLeft(() => !this.request.complete))
  }

  #abortWhenLeft(applies: () => boolean): AbortSignal {
    const controller = new AbortController()
    this.whenLeft(() => {
      if (applies()) controller.abort(new ClientHasLeft())
    })
    return controller.signal
  }

  #leave(): void {
    if (this.#left) return
    this.#left = true
    for (const call of this.#callsWhenLeft) call()
  }

  letBodyCome(): void {
    if (this.bodyWaits) this.response.writeContinue()
    this.bodyWaits = false
  }

  /** Hands over bytes from memory when it is their turn. Resolves when the client takes more; false if it has left. */
  async send(chunk: Buffer): Promise<boolean> {
    const turn = this.#overseers.sending.take(chunk.length)
    if (turn) {
      this.#uncork()
      await turn
    }
    if (this.#left) return false
    if (this.write(chunk)) return true
    this.#uncork()
    return this.drained()
  }

  /** What has been held together for one write goes out before somebody waits. */
  #uncork(): void {
    if (this.response.writableCorked > 0) this.response.uncork()
  }

  /** Hands bytes to the client. false: it takes no more now, wait for `drained`. */
  write(chunk: Buffer): boolean {
    this.#count(chunk)
    const takesMore = this.response.write(chunk)
    if (!takesMore) this.#watchReader()
    return takesMore
  }

  /** Hands over the last bytes from memory, with the end of the response, when it is their turn. */
  end(chunk: Buffer): Promise<void> | undefined {
    const turn = this.#overseers.sending.take(chunk.length)
    if (turn) return turn.then(() => this.#end(chunk))
    this.#end(chunk)
    return undefined
  }

  #end(chunk: Buffer): void {
    if (this.#left) return
    this.#count(chunk)
    this.response.end(chunk)
  }

  #count(chunk: Buffer): void {
    if (this.sentBytes === 0) {
      const seconds = (performance.now() - this.startedAt) / 1000
      this.#overseers.metrics.firstByteSeconds.observe({ door: 'http', kind: this.kind }, seconds)
    }
    this.sentBytes += chunk.length
  }

  /** Ends a process that moves no byte for too long; its client is told as of any that fails. */
  watchProcess(process: GitProcess): void {
    const { metrics, processes } = this.#overseers
    const watched = { taken: () => process.moved, owed: () => true }
    const stop = processes.watch(watched, () => {
      metrics.passThroughCut.inc()
      process.end()
    })
    void process.ended.then(stop)
  }

  /** Counts bytes that compression has spared the line. */
  countSaved(encoding: string, bytes: number): void {
    if (this.request.method !== 'HEAD')
      this.#overseers.metrics.compressionSaved.inc({ door: 'http', encoding }, bytes)
  }

  /** Resolves when the client takes more bytes; false if it has left. */
  drained(): Promise<boolean> {
    const { response } = this
    if (this.#left || response.destroyed) return Promise.resolve(false)
    if (!this.#goOn) {
      const goOn = (): void => this.#goOn?.(!this.#left)
      response.on('drain', goOn)
      this.whenLeft(goOn)
    }
    return new Promise((resolve) => (this.#goOn = resolve))
  }

  /** Ends a response that cannot be finished so that its client sees it; see Connection. */
  breakOff(): void {
    Connection.of(this.request.socket).breakOff()
  }

  /** Counts the exchange, once all of its response has been handed over; that it also goes out is watched. */
  done(): void {
    const { kind, version, outcome } = this
    const { metrics } = this.#overseers
    metrics.requests.inc({ door: 'http', kind, protocol: `v${version}`, outcome })
    if (this.sentBytes > 0) metrics.sentBytes.inc({ door: 'http', kind }, this.sentBytes)
    if (this.response.writableLength > 0) this.#watchReader()
  }

  /** From the first moment at which the client does not take what is there. */
  #watchReader(): void {
    if (this.#watched) return
    this.#watched = true
    const { socket } = this.request
    const stop = this.#overseers.readers.watch(socketClient(socket), (reason) => this.#cut(reason))
    this.#whenOver(stop)
  }

  #watchSender(): void {
    const { request } = this
    // That the body breaks off is told by 'close' as well.
    request.on('error', ignore)
    const { socket } = request
    // What has come and waits here to be read is not the client's fault.
    const owed = (): boolean => !request.complete && request.readableLength === 0
    const watched = { taken: () => socket.bytesRead, owed }
    const stop = this.#overseers.senders.watch(watched, (reason) =>
      this.#cut(reason === 'idle' ? 'silent' : 'trickling'),
    )
    // Also after an answer that came before the end of the request: what is left of that is read and dropped.
    request.once('end', stop).once('close', stop)
    this.whenLeft(stop)
  }

  #whenOver(call: () => void): void {
    this.response.once('close', call)
    this.whenLeft(call)
  }

  #cut(reason: 'idle' | 'slow' | 'silent' | 'trickling'): void {
    this.#overseers.metrics.clientsCut.inc({ reason })
    this.request.socket.destroy()
  }
}
