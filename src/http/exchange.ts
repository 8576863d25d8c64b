import { peerOf, TrustedProxies, type Client } from '../access/proxies.js'
import type { ShareHolding } from '../limits/admission/shares.js'
import type { StallDetector } from '../limits/connection/stall-detector.js'
import type { WriteBudget } from '../limits/connection/write-budget.js'
import type { ProtocolDetails } from '../service/request-log.js'
import { RequestRecord, type RequestMonitors } from '../service/request-record.js'
import { Connection } from './connection.js'
import { logDetails } from './log-details.js'
import type { Channel, HttpRequest, HttpResponse } from './message.js'
import type { PeekedBody } from './request-body.js'
import { errorTypeOf, routeOf, spanNameOf } from './span-details.js'

/** What exchanges are reported to and bounded by. */
export interface Monitors extends RequestMonitors {
  /** Finds clients that send their requests too slowly. */
  readonly requestStalls: StallDetector
  /** Bounds what is sent from memory in one iteration of the event loop. */
  readonly writeBudget: WriteBudget
  /** Proxies that are trusted to name the client; undefined: none. */
  readonly proxies?: TrustedProxies | undefined
  /** Do clients connect to a Unix socket? Then they have no address, unless a proxy names one. */
  readonly unix?: boolean
  /** The header, in lower case, that names a request to its client, and in which a trusted proxy may name it; undefined: none. */
  readonly requestIdHeader?: string | undefined
}

/** Most bytes from shared memory that wait for a client: one that stops reading holds no more. */
export const writeMax = 1024 * 1024

/** What may name a request in log lines and headers. */
const requestId = /^[\w.:+/=@-]{1,128}$/
const noProxies = new TrustedProxies([])
const ignore = (): void => {}

/** One HTTP request and its response. */
export class Exchange extends RequestRecord {
  readonly request: HttpRequest
  readonly response: HttpResponse
  /** Does the client wait for 100 (Continue) before it sends the body (RFC 9110, section 10.1.1)? */
  awaitsContinue: boolean
  /** What has been read of the body, and the memory that it takes from the share of its client. */
  peeked: PeekedBody | undefined
  memory: ShareHolding | undefined
  /** Has its client's rate been checked? */
  isRated = false
  readonly #monitors: Monitors
  #client: Client | undefined
  #abortedEarly: AbortSignal | undefined
  #isResponseWatched = false
  /** Bytes that the write budget has allowed and that have not been written yet. */
  #allowed = 0
  /** Resolver of the last drained() promise. */
  #resolveDrained: ((takesMore: boolean) => void) | undefined

  constructor(request: HttpRequest, response: HttpResponse, monitors: Monitors, awaitsContinue = false) {
    super('http', 'other', monitors)
    this.request = request
    this.response = response
    this.awaitsContinue = awaitsContinue
    this.#monitors = monitors
    // A connection that breaks is reported by 'close'; an 'error' without a listener would end the program.
    response.on('error', ignore)
    response.on('close', () => {
      if (!response.writableFinished) this.abort()
    })
    if (hasBody(request)) this.#watchRequest()
    if (monitors.requestIdHeader !== undefined) this.#sendId(monitors.requestIdHeader)
  }

  get method(): string {
    return this.request.method ?? ''
  }

  override get spanName(): string {
    return spanNameOf(this.method, this.route)
  }

  override get route(): string | undefined {
    return routeOf(this.kind)
  }

  override get errorType(): string | undefined {
    return errorTypeOf(this.details().status, !this.aborted && this.outcome === 'error')
  }

  /** The client that the request comes from, through any trusted proxies; determined when first asked for. */
  get client(): Client {
    const { socket, headers } = this.request
    const { proxies = noProxies, unix } = this.#monitors
    return (this.#client ??= proxies.clientOf(peerOf(socket, unix), headers))
  }

  /** The client's address; empty if the connection has gone. */
  get clientAddress(): string {
    return this.client.address ?? ''
  }

  /**
   * Aborts when the client leaves before the end of its request. A push that has arrived whole is carried out to its end,
   * hooks included, even if the client leaves then.
   */
  get abortedEarly(): AbortSignal {
    return (this.#abortedEarly ??= this.abortSignal(() => !this.request.complete))
  }

  sendContinue(): void {
    if (this.awaitsContinue) this.response.writeContinue()
    this.awaitsContinue = false
  }

  /**
   * Hands over bytes from memory, when the write budget allows it. Resolves when the client takes more; false: it has
   * left.
   * @param isShared they take no memory for this client alone. Then it resolves as long as `writeMax` bytes may wait for
   *   the client, so that short chunks, as ropes have them, go out together: in one system call for up to so many bytes
   * @param left bytes of the body that are there and not sent, these included. The budget is asked for as many of them as may go
   *   out together: if it were asked for each chunk, clients that take turns would get a chunk a turn, each in a system call
   */
  async send(chunk: Buffer, isShared = false, left = chunk.length): Promise<boolean> {
    const most = isShared ? writeMax : 0
    const delay = this.#take(chunk.length, Math.min(left, most))
    if (delay) {
      this.#uncork()
      await delay
    }
    if (this.aborted || !(this.#hasRoom(chunk.length, most) || (await this.#uncorked()))) return false
    this.write(chunk)
    // The next chunk is likely to be as long.
    return this.#hasRoom(chunk.length, most) || this.#uncorked()
  }

  /**
   * Asks the write budget for bytes that are about to be written, unless it has allowed them already.
   * @param together bytes that it is asked for, if they are more
   */
  #take(bytes: number, together: number): Promise<void> | undefined {
    if (bytes <= this.#allowed) {
      this.#allowed -= bytes
      return undefined
    }
    // What was allowed and is not enough is part of what is asked for now.
    const asked = Math.max(bytes, together) - this.#allowed
    this.#allowed += asked - bytes
    return this.#monitors.writeBudget.take(asked)
  }

  /** Node itself gathers what is written before the next tick (_http_outgoing.js, connectionCorkNT). */
  #hasRoom(bytes: number, most: number): boolean {
    const { writableNeedDrain, writableLength } = this.response
    return !writableNeedDrain || writableLength + bytes <= most
  }

  /** Resolves when the client has taken all; false: it has left. */
  #uncorked(): Promise<boolean> {
    // Listened for first: from Node 24 on, uncork() may emit 'drain' itself.
    const drained = this.drained()
    this.#uncork()
    return drained
  }

  /** What was held back for one larger write goes out before a wait. */
  #uncork(): void {
    if (this.response.writableCorked > 0) this.response.uncork()
  }

  /** Hands bytes to the client. false: it takes no more now (back-pressure), wait for `drained`. */
  write(chunk: Buffer): boolean {
    this.countSent(chunk.length)
    const takesMore = this.response.write(chunk)
    if (!takesMore) this.#watchResponse()
    return takesMore
  }

  /** Resolves when the client takes more bytes; false: it has left. */
  drained(): Promise<boolean> {
    const { response } = this
    if (this.aborted || response.destroyed) return Promise.resolve(false)
    if (!this.#resolveDrained) {
      const resume = (): void => this.#resolveDrained?.(!this.aborted)
      response.on('drain', resume)
      this.onAbort(resume)
    }
    return new Promise((resolve) => (this.#resolveDrained = resolve))
  }

  /** Hands over the last bytes from memory with the end of the response: at once if the write budget allows it. */
  end(chunk: Buffer): Promise<void> | undefined {
    const delay = this.#take(chunk.length, 0)
    if (delay) return delay.then(() => this.#end(chunk))
    this.#end(chunk)
    return undefined
  }

  #end(chunk: Buffer): void {
    if (this.aborted) return
    this.countSent(chunk.length)
    this.response.end(chunk)
  }

  /** Found when it is needed: most requests of HTTP/1 never ask for it. */
  get #channel(): Channel {
    return this.request.channel ?? Connection.of(this.request.socket)
  }

  /** Ends a response that cannot be finished so that its client sees it; see Channel. */
  breakOff(): void {
    this.#channel.breakOff()
  }

  /** Counts body bytes that were not sent because of compression. */
  countSaved(encoding: string, bytes: number): void {
    if (this.method === 'HEAD') return
    this.#monitors.metrics.compressionSaved.inc({ transport: 'http', encoding }, bytes)
  }

  /** Counts an answer that is sent as its differences from one that the client holds, and the body bytes that this saves. */
  countDelta(saved: number): void {
    const { deltaAnswers, deltaSaved } = this.#monitors.metrics
    deltaAnswers.inc({ kind: this.kind })
    deltaSaved.inc({ kind: this.kind }, saved)
  }

  override details(): ProtocolDetails {
    return logDetails(this.request, this.response, this.client)
  }

  override finish(): void {
    super.finish()
    // Handed over is not yet sent.
    if (this.response.writableLength > 0) this.#watchResponse()
  }

  #sendId(header: string): void {
    const { proxies = noProxies, unix } = this.#monitors
    const given = this.request.headers[header]
    const isTrusted = typeof given === 'string' && proxies.trusts(peerOf(this.request.socket, unix))
    if (isTrusted && requestId.test(given)) this.nameAs(given)
    this.response.setHeader(header, this.id)
  }

  /** Called when the client first does not take what is there. */
  #watchResponse(): void {
    if (this.#isResponseWatched) return
    this.#isResponseWatched = true
    const channel = this.#channel
    const stop = this.watchResponse(channel.reader, () => channel.cut())
    this.response.once('close', stop)
    this.onAbort(stop)
  }

  #watchRequest(): void {
    const { request } = this
    const channel = this.#channel
    // A body that breaks off is reported by 'close' as well.
    request.on('error', ignore)
    // What has come and waits here to be read is not the client's fault.
    const owed = (): boolean => !request.complete && request.readableLength === 0
    const { requestStalls, metrics } = this.#monitors
    const stop = requestStalls.watch({ taken: () => channel.received, owed }, (reason) => {
      metrics.clientsCut.inc({ reason: reason === 'idle' ? 'silent' : 'trickling' })
      channel.cut()
    })
    // Also after an answer that came before the end of the request: what is left of that is read and dropped.
    request.once('end', stop).once('close', stop)
    this.onAbort(stop)
  }
}

/** A GET may have a body too, which its client may be slow to send. */
const hasBody = ({ method, headers, httpVersion, complete }: HttpRequest): boolean =>
  // HTTP/2 says with the head whether a body follows.
  httpVersion === '2'
    ? !complete
    : method === 'POST' || 'transfer-encoding' in headers || (headers['content-length'] ?? '0') !== '0'
