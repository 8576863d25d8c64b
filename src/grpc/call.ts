import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js'
import type { StallDetector } from '../limits/connection/stall-detector.js'
import { clientGroup } from '../limits/admission/client-group.js'
import { callAfter } from '../limits/clock.js'
import { Overloaded } from '../limits/overloaded.js'
import type { AdmissionGate, AbortableRequest } from '../limits/admission/admission-gate.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import type { ProtocolVersion } from '../git/protocol/version.js'
import type { Reuse } from '../freshness/fresh-cache.js'
import { untilUnexchanged } from '../service/errors.js'
import type { Target } from '../service/ref-service.js'
import { FillError } from '../streamcache/index.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import { explain, type Explained } from './status.js'
import { Sender } from './transport/sender.js'

/** What is known of whoever calls. */
export type Caller = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getPeer' | 'getPath'> &
  Partial<Pick<ServerUnaryCall<unknown, unknown>, 'getHost'>>

/** What a caller wants to do. */
export interface CallTarget {
  /** Relative to the root, or absolute below it; undefined: a lease that it knows by its id. */
  readonly repository: string | undefined
  readonly service: 'upload-pack' | 'admin'
}

/** Who may call, how much at once, and who keeps an eye on it. */
export interface CallOptions {
  /** Asked before any repository is touched. @throws Refusal, `unauthenticated` or `denied` */
  readonly authorize: (caller: Caller, wanted: CallTarget) => Promise<Pick<Target, 'identity'>>
  /** Whose share of the places a call takes: its client's address. */
  readonly clientOf: (caller: Caller) => string
  readonly metrics: Metrics
  readonly log: Log
  /** Clients that take their answers too slowly. */
  readonly responseStalls: StallDetector
  /** How many requests may be under way at once, at all doors. */
  readonly gate: AdmissionGate
  /** Told of each call that is shed. */
  readonly shed: (why: Overloaded) => void
}

/** One call that is answered by a stream of data, with what is told about it afterwards. */
export class DataCall<Request, Response> implements AbortableRequest {
  readonly request: Request
  readonly startedAt = performance.now()
  /** Aborts when the client has left, or its deadline has passed, before the end of its answer. */
  readonly signal: AbortSignal
  readonly kind: string
  protocol: `v${ProtocolVersion}` = 'v0'
  outcome: Reuse | 'passthrough' | 'aborted' | Explained['outcome'] = 'error'
  repository: string | undefined
  readonly #stream: ServerWritableStream<Request, Response>
  readonly #sender: Sender<Response>
  readonly #options: CallOptions
  #ended = false
  #leaveGate: (() => void) | undefined

  constructor(stream: ServerWritableStream<Request, Response>, kind: string, options: CallOptions) {
    this.request = stream.request
    this.kind = kind
    this.#stream = stream
    this.#options = options
    const left = new AbortController()
    this.signal = left.signal
    const leave = (): void => {
      if (!this.#ended) left.abort(new Error('the client has left'))
    }
    // grpc-js sends the status of a passed deadline behind what the client has not taken, and only then tells us.
    const deadline = Number(stream.getDeadline())
    const stopTimer = deadline < Infinity ? callAfter(deadline - Date.now(), leave) : undefined
    // Also told of calls that have ended well.
    stream.once('cancelled', () => {
      stopTimer?.()
      leave()
    })
    this.#sender = new Sender(stream, left.signal)
  }

  get sentBytes(): number {
    return this.#sender.given
  }

  /** Bytes that the next message of the answer shall have. */
  get messageSize(): number {
    return this.#sender.messageSize
  }

  /**
   * Comes in when there is room, and is answered by this work if it may: the authoriser has only so many to answer for
   * as the room holds.
   * @throws Refusal, Overloaded, that the client has left, or what the work throws
   */
  async enter(repository: string, work: (target: Target) => Promise<void>): Promise<void> {
    this.repository = repository
    const { authorize, gate } = this.#options
    const address = this.#options.clientOf(this.#stream)
    // Of those on a Unix socket, nobody can tell one from another.
    const share = address === '' ? {} : { client: clientGroup(address) }
    this.#leaveGate = await gate.enter({ group: repository, ...share }, this)
    const round = async (): Promise<void> => {
      const { identity } = await authorize(this.#stream, { repository, service: 'upload-pack' })
      this.throwIfAborted()
      await work({ path: repository, identity })
    }
    await untilUnexchanged(round, () => this.sentBytes === 0)
  }

  onAbort(call: () => void): void {
    if (this.signal.aborted) call()
    else this.signal.addEventListener('abort', call)
  }

  throwIfAborted(): void {
    this.signal.throwIfAborted()
  }

  /** Resolves when the client takes more; false: it has left. `bytes`: what the message counts as. */
  send(message: Response, bytes: number): Promise<boolean> {
    if (this.sentBytes === 0) {
      const seconds = (performance.now() - this.startedAt) / 1000
      this.#options.metrics.firstByteSeconds.observe({ transport: 'grpc', kind: this.kind }, seconds)
      const stop = this.#options.responseStalls.watch(this.#sender, (reason) => {
        this.#options.metrics.clientsCut.inc({ reason })
        this.#sender.cut()
      })
      this.#stream.once('cancelled', stop)
    }
    return this.#sender.send(message, bytes)
  }

  /** Ends the answer soundly. */
  end(): void {
    if (this.signal.aborted) return
    this.#ended = true
    this.#stream.end()
  }

  /** Ends the answer by an error, behind whatever has been sent of it (R4). */
  fail({ status }: Explained): void {
    this.#ended = true
    this.#stream.emit('error', status)
  }

  /** Leaves, and counts the call, once all of its answer has been handed over. */
  done(): void {
    this.#leaveGate?.()
    const { kind, protocol, outcome, sentBytes } = this
    const { metrics } = this.#options
    metrics.requests.inc({ transport: 'grpc', kind, protocol, outcome })
    if (sentBytes > 0) metrics.sentBytes.inc({ transport: 'grpc', kind }, sentBytes)
  }
}

/** Answers each call of a data service by this work, within the limits of all doors. */
export function answerBy<Request, Response>(
  options: CallOptions,
  kind: string,
  work: (call: DataCall<Request, Response>) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return (stream) => void answer(options, new DataCall(stream, kind, options), work)
}

async function answer<Request, Response>(
  options: CallOptions,
  call: DataCall<Request, Response>,
  work: (call: DataCall<Request, Response>) => Promise<void>,
): Promise<void> {
  try {
    await work(call)
    call.end()
  } catch (error) {
    if (!call.signal.aborted) fail(options, call, error)
  }
  if (call.signal.aborted) call.outcome = 'aborted'
  call.done()
  const { repository, kind, protocol, outcome, sentBytes } = call
  const ms = Math.round(performance.now() - call.startedAt)
  options.log.debug({ transport: 'grpc', repository, kind, protocol, outcome, sentBytes, ms }, 'request')
}

function fail<Request, Response>(
  { log, shed }: CallOptions,
  call: DataCall<Request, Response>,
  error: unknown,
): void {
  const explained = explain(error)
  const { cause, outcome } = explained
  call.outcome = outcome
  if (cause instanceof Overloaded) shed(cause)
  // A failed fill fails all its followers; Git's complaint, or that a filesystem does not answer, has been logged once.
  const isLogged = error instanceof FillError || error instanceof FilesystemUnanswered
  const level = isLogged ? 'debug' : 'error'
  if (outcome === 'error')
    log[level]({ err: error, repository: call.repository, transport: 'grpc' }, 'request failed')
  call.fail(explained)
}

/** Answers each call of an admin service by this work. */
export function replyBy<Request, Response>(
  log: Log,
  work: (call: ServerUnaryCall<Request, Response>) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    work(call).then(
      (response) => callback(null, response),
      (error: unknown) => {
        const { status, outcome } = explain(error)
        if (outcome === 'error') log.error({ err: error, method: call.getPath() }, 'an admin call failed')
        callback(status)
      },
    )
  }
}
