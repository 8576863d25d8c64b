import type {
  handleServerStreamingCall,
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js'
import type { Grant } from '../access/access-request.js'
import type { AdmissionGate } from '../limits/admission/admission-gate.js'
import { clientGroup } from '../limits/admission/client-group.js'
import type { ClientRates } from '../limits/admission/client-rates.js'
import { callAfter } from '../limits/clock.js'
import { agentMax, type ProtocolDetails } from '../service/request-log.js'
import { RequestRecord, type RequestKind, type RequestMonitors } from '../service/request-record.js'
import { untilUnexchanged, type Target } from '../origin/target.js'
import { withinRate } from '../service/rate-limit.js'
import { toRpcFailure } from './status.js'
import { Sender } from './transport/sender.js'

/** What is known of the caller. */
export type Caller = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getPeer' | 'getPath'> &
  Partial<Pick<ServerUnaryCall<unknown, unknown>, 'getHost'>>

/** What a call is about. */
export interface CallTarget {
  /** Relative to the root, or absolute below it; undefined: a lease that is known by its id. */
  readonly repository: string | undefined
  readonly service: 'upload-pack' | 'admin'
}

export interface CallOptions extends RequestMonitors {
  /** Checks access before any repository is touched. @throws RpcError, and what Access.check throws */
  readonly authorize: (
    caller: Caller,
    wanted: CallTarget,
  ) => Promise<Pick<Grant, 'identity'> & Partial<Grant>>
  /** Returns the address of a call's client, whose share of the admitted requests it takes; empty: unknown. */
  readonly clientOf: (caller: Caller) => string
  /** Bounds the requests that are answered at once, by all servers. */
  readonly gate: AdmissionGate
  /** Limits the requests of each client; undefined: there is no limit. */
  readonly rates?: ClientRates | undefined
}

type Work<Request, Response> = (call: DataCall<Request, Response>) => Promise<void>

/** Returns a handler that answers each call of a data service by this work. */
export function answerBy<Request, Response>(
  options: CallOptions,
  kind: RequestKind,
  work: Work<Request, Response>,
): handleServerStreamingCall<Request, Response> {
  return (stream) => {
    const call = new DataCall(stream, kind, options)
    const { tracing } = options
    if (tracing) void tracing.serve(call, traceOf(stream.metadata), answer<Request, Response>, call, work)
    else void answer(call, work)
  }
}

/** Returns the headers by which a call is part of a trace. */
function traceOf(metadata: Metadata): Record<string, string | undefined> {
  const value = (name: string): string | undefined => metadata.get(name)[0]?.toString()
  return { traceparent: value('traceparent'), tracestate: value('tracestate') }
}

/** Codes that are the server's fault: unknown, deadline, unimplemented, internal, unavailable, data loss. */
const serverFaults = new Set([2, 4, 12, 13, 14, 15])

async function answer<Request, Response>(
  call: DataCall<Request, Response>,
  work: Work<Request, Response>,
): Promise<void> {
  try {
    await work(call)
    call.end()
  } catch (error) {
    if (!call.aborted) call.fail(error)
  }
  call.finish()
}

/** One call that is answered by a stream of data. */
export class DataCall<Request, Response> extends RequestRecord {
  readonly request: Request
  readonly #stream: ServerWritableStream<Request, Response>
  readonly #sender: Sender<Response>
  readonly #options: CallOptions
  #ended = false
  /** The client's address; empty: not known. */
  #address = ''
  /** gRPC's status code; undefined: the call has not ended. */
  #code: number | undefined
  #releaseAdmission: (() => void) | undefined

  constructor(stream: ServerWritableStream<Request, Response>, kind: RequestKind, options: CallOptions) {
    super('grpc', kind, options)
    this.request = stream.request
    this.#stream = stream
    this.#options = options
    const abortUnlessEnded = (): void => {
      if (!this.#ended) this.abort()
    }
    // grpc-js sends the status of a passed deadline behind what the client has not taken, and reports it only then.
    const deadline = Number(stream.getDeadline())
    const stopTimer = deadline < Infinity ? callAfter(deadline - Date.now(), abortUnlessEnded) : undefined
    // Also emitted by calls that have ended well.
    stream.once('cancelled', () => {
      stopTimer?.()
      abortUnlessEnded()
    })
    this.#sender = new Sender(stream, this.signal)
  }

  get method(): string {
    return this.#stream.getPath()
  }

  override get spanName(): string {
    return this.method.slice(1)
  }

  override get errorType(): string | undefined {
    return this.#code !== undefined && serverFaults.has(this.#code) ? String(this.#code) : undefined
  }

  /** Bytes that the next message of the answer should have. */
  get messageSize(): number {
    return this.#sender.messageSize
  }

  /**
   * Waits for admission, checks access, and does the work: in this order, so that the number of requests to auth-url is
   * bounded as well.
   * @throws RpcError, Overloaded, RequestAborted, what Access.check throws, or what the work throws
   */
  async run(repository: string, work: (target: Target) => Promise<void>): Promise<void> {
    this.repository = repository
    const { authorize, clientOf, gate, rates } = this.#options
    const address = clientOf(this.#stream)
    this.#address = address
    // Clients of a Unix socket cannot be told apart.
    const share = address === '' ? {} : { client: clientGroup(address) }
    const admission = gate.admit({ group: repository, ...share }, this)
    this.#releaseAdmission = admission instanceof Promise ? await this.waiting(admission) : admission
    const check = () => authorize(this.#stream, { repository, service: 'upload-pack' })
    let isRated = false
    const attempt = async (): Promise<void> => {
      const { identity, user } = await (rates && !isRated ? this.#withinRate(rates, check) : check())
      isRated = true
      this.user = user
      this.throwIfAborted()
      await work({ path: repository, identity, client: this })
    }
    await untilUnexchanged(attempt, () => this.sentBytes === 0)
  }

  #withinRate(rates: ClientRates, check: () => Promise<Partial<Grant>>): Promise<Partial<Grant>> {
    const hasCredentials = this.#stream.metadata.get('authorization').length > 0
    return withinRate(rates, { address: this.#address, hasCredentials }, check)
  }

  /**
   * Sends a message. Resolves when the client takes more; false: it has disconnected.
   * @param bytes what the message counts as
   */
  send(message: Response, bytes: number): Promise<boolean> {
    if (this.aborted) return Promise.resolve(false)
    if (this.sentBytes === 0) {
      this.#stream.once(
        'cancelled',
        this.watchResponse(this.#sender, () => this.#sender.cut()),
      )
    }
    this.countSent(bytes)
    return this.#sender.send(message, bytes)
  }

  /** Ends the answer soundly. */
  end(): void {
    if (this.aborted) return
    this.#ended = true
    this.#code = 0
    this.#stream.end()
  }

  /** Ends the answer by an error, behind whatever has been sent of it (R4). */
  fail(error: unknown): void {
    const { status, report } = toRpcFailure(error)
    this.failed(error, report)
    this.#ended = true
    this.#code = status.code
    this.#stream.emit('error', status)
  }

  override details(): ProtocolDetails {
    const { metadata } = this.#stream
    const [agent] = metadata.get('user-agent')
    return {
      status: this.#code,
      hasCredentials: metadata.get('authorization').length > 0,
      attributes: {
        'rpc.system': 'grpc',
        'rpc.method': this.method,
        'rpc.grpc.status_code': this.#code,
        'client.address': this.#address || undefined,
        'user_agent.original': agent?.toString().slice(0, agentMax),
      },
    }
  }

  override finish(): void {
    this.#releaseAdmission?.()
    super.finish()
  }
}
