import type { IncomingMessage, ServerResponse } from 'node:http'
import { peerOf, TrustedProxies, type Client } from '../access/proxies.js'
import type { GitProcess } from '../git/process/git-process.js'
import type { ProtocolVersion } from '../git/protocol/version.js'
import type { StallDetector } from '../limits/connection/stall-detector.js'
import { socketClient } from '../limits/connection/socket-client.js'
import type { WriteBudget } from '../limits/connection/write-budget.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { ShareHolding } from '../limits/admission/shares.js'
import { Connection } from './connection.js'
import type { PeekedBody } from './request-body.js'

/** What became of a request, as `refstream_requests_total` counts it. */
export type Outcome =
  | ('hit' | 'joined' | 'filled' | 'gathered' | 'passthrough')
  | ('not_found' | 'unauthenticated' | 'forbidden' | 'rejected' | 'shed' | 'aborted' | 'error')

/** A client that is gone; nobody needs an answer. */
class RequestAborted extends Error {
  override readonly name = 'ClientHasLeft'
  override readonly message = 'the client has left'
}

const ignore = (): void => {}
const noProxies = new TrustedProxies([])

/** Most bytes per write of what is in memory: a client that stops reading holds no more. */
export const writeMax = 1024 * 1024

/** Who keeps an eye on exchanges. */
export interface Monitors {
  readonly metrics: Metrics
  /** Clients that take their answers too slowly. */
  readonly responseStalls: StallDetector
  /** Those that send their requests too slowly. */
  readonly requestStalls: StallDetector
  /** Git processes to which nothing comes and from which nothing comes. */
  readonly processStalls: StallDetector
  /** Of what is sent from memory. */
  readonly writeBudget: WriteBudget
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
  peeked: PeekedBody | undefined
  memory: ShareHolding | undefined
  readonly #monitors: Monitors
  #aborted = false
  /** Made for those who ask: most exchanges end without anybody, and a signal costs more than a hit's own work. */
  #signal: AbortSignal | undefined
  #abortedEarly: AbortSignal | undefined
  readonly #abortCallbacks: (() => void)[] = []
  #client: Client | undefined
  #watched = false
  /** Of him who waits for the client to take more, or has waited. */
  #goOn: ((takesMore: boolean) => void) | undefined

  constructor(request: IncomingMessage, response: ServerResponse, overseers: Monitors) {
    this.request = request
    this.response = response
    this.#monitors = overseers
    // A connection that breaks is told by 'close'; an 'error' without a listener would end the program.
    response.on('error', ignore)
    const leave = (): void => {
      if (!response.writableFinished) this.#abort()
    }
    response.on('close', leave)
    if (hasBody(request)) this.#watchRequest()
  }

  /** Whom the request comes from, as it was when somebody first wanted to know. */
  get client(): Client {
    const { socket, headers } = this.request
    return (this.#client ??= (this.#monitors.proxies ?? noProxies).clientOf(peerOf(socket), headers))
  }

  /** The client's address, by whatever trusted proxies it comes; empty if the connection has gone. */
  get clientAddress(): string {
    return this.client.address ?? ''
  }

  /** Has the client left before the end of its answer? */
  get aborted(): boolean {
    return this.#aborted
  }

  /** @throws if the client has left */
  throwIfAborted(): void {
    if (this.#aborted) throw new RequestAborted()
  }

  /** Calls back when the client leaves before the end of its answer, or at once if it has. */
  onAbort(call: () => void): void {
    if (this.#aborted) call()
    else this.#abortCallbacks.push(call)
  }

  /** Aborts when the client has left before the end of its answer. */
  get signal(): AbortSignal {
    return (this.#signal ??= this.#abortSignal(() => true))
  }

  /**
   * Aborts when the client has left before the end of its request. A push that has arrived whole is carried out to its
   * end, hooks and all, whoever still listens.
   */
  get abortedEarly(): AbortSignal {
    return (this.#abortedEarly ??= this.#abortSignal(() => !this.request.complete))
  }

  #abortSignal(applies: () => boolean): AbortSignal {
    const controller = new AbortController()
    this.onAbort(() => {
      if (applies()) controller.abort(new RequestAborted())
    })
    return controller.signal
  }

  #abort(): void {
    if (this.#aborted) return
    this.#aborted = true
    for (const call of this.#abortCallbacks) call()
  }

  sendContinue(): void {
    if (this.bodyWaits) this.response.writeContinue()
    this.bodyWaits = false
  }

  /** Hands over bytes from memory when it is their turn. Resolves when the client takes more; false if it has left. */
  async send(chunk: Buffer): Promise<boolean> {
    const turn = this.#monitors.writeBudget.take(chunk.length)
    if (turn) {
      this.#uncork()
      await turn
    }
    if (this.#aborted) return false
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
    if (!takesMore) this.#watchResponse()
    return takesMore
  }

  /** Hands over the last bytes from memory, with the end of the response, when it is their turn. */
  end(chunk: Buffer): Promise<void> | undefined {
    const turn = this.#monitors.writeBudget.take(chunk.length)
    if (turn) return turn.then(() => this.#end(chunk))
    this.#end(chunk)
    return undefined
  }

  #end(chunk: Buffer): void {
    if (this.#aborted) return
    this.#count(chunk)
    this.response.end(chunk)
  }

  #count(chunk: Buffer): void {
    if (this.sentBytes === 0) {
      const seconds = (performance.now() - this.startedAt) / 1000
      this.#monitors.metrics.firstByteSeconds.observe({ transport: 'http', kind: this.kind }, seconds)
    }
    this.sentBytes += chunk.length
  }

  /** Ends a process that moves no byte for too long; its client is told as of any that fails. */
  watchProcess(process: GitProcess): void {
    const { metrics, processStalls: processes } = this.#monitors
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
      this.#monitors.metrics.compressionSaved.inc({ transport: 'http', encoding }, bytes)
  }

  /** Resolves when the client takes more bytes; false if it has left. */
  drained(): Promise<boolean> {
    const { response } = this
    if (this.#aborted || response.destroyed) return Promise.resolve(false)
    if (!this.#goOn) {
      const goOn = (): void => this.#goOn?.(!this.#aborted)
      response.on('drain', goOn)
      this.onAbort(goOn)
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
    const { metrics } = this.#monitors
    metrics.requests.inc({ transport: 'http', kind, protocol: `v${version}`, outcome })
    if (this.sentBytes > 0) metrics.sentBytes.inc({ transport: 'http', kind }, this.sentBytes)
    if (this.response.writableLength > 0) this.#watchResponse()
  }

  /** From the first moment at which the client does not take what is there. */
  #watchResponse(): void {
    if (this.#watched) return
    this.#watched = true
    const { socket } = this.request
    const stop = this.#monitors.responseStalls.watch(socketClient(socket), (reason) => this.#cut(reason))
    this.#whenOver(stop)
  }

  #watchRequest(): void {
    const { request } = this
    // That the body breaks off is told by 'close' as well.
    request.on('error', ignore)
    const { socket } = request
    // What has come and waits here to be read is not the client's fault.
    const owed = (): boolean => !request.complete && request.readableLength === 0
    const watched = { taken: () => socket.bytesRead, owed }
    const stop = this.#monitors.requestStalls.watch(watched, (reason) =>
      this.#cut(reason === 'idle' ? 'silent' : 'trickling'),
    )
    // Also after an answer that came before the end of the request: what is left of that is read and dropped.
    request.once('end', stop).once('close', stop)
    this.onAbort(stop)
  }

  #whenOver(call: () => void): void {
    this.response.once('close', call)
    this.onAbort(call)
  }

  #cut(reason: 'idle' | 'slow' | 'silent' | 'trickling'): void {
    this.#monitors.metrics.clientsCut.inc({ reason })
    this.request.socket.destroy()
  }
}
