import type { ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js'
import type { LeaseService, LeaseView } from '../../service/lease-service.js'
import { replyBy, type CallOptions } from '../call.js'
import { toDuration, toMs, toTimestamp, type Duration } from '../proto/definitions.js'
import { mutatorPath } from './requests.js'
import { explain, RpcError } from '../status.js'

/** Milliseconds for which a Hold's lease is given; it is renewed at a third, and outlives a crash of refstream so long. */
const holdMs = 60_000
/** Characters of a reason. */
const reasonMax = 1000

interface LeaseMessage {
  readonly id: string
  readonly repository: string
  readonly reason: string
  readonly ttl: Duration
  readonly openedAt: Duration
  readonly expiresAt: Duration
}

interface HoldRequest {
  readonly repository: string
  readonly reason: string
}

type AcquireRequest = HoldRequest & { readonly ttl: Duration | null }
type RenewRequest = Pick<LeaseMessage, 'id'> & { readonly ttl: Duration | null }
type ReleaseRequest = Pick<LeaseMessage, 'id'> & { readonly unchanged: boolean }
type HoldStream = ServerWritableStream<HoldRequest, LeaseMessage>

export interface LeaseServiceOptions extends Pick<CallOptions, 'authorize' | 'log'> {
  readonly leases: LeaseService
  /** Longest time that a lease may be given at once, in seconds. */
  readonly leaseMaxSeconds: number
}

const unknownLease =
  'there is no such lease: it has ended, has expired (which counts as a change), or is not known to this process'

/** refstream.v1.LeaseService */
export class LeaseCalls {
  readonly #options: LeaseServiceOptions
  /** How to end the calls that hold a lease, by its id. */
  readonly #holds = new Map<string, (error?: RpcError) => void>()

  constructor(options: LeaseServiceOptions) {
    this.#options = options
  }

  get handlers(): UntypedServiceImplementation {
    const { leases, log } = this.#options
    return {
      Acquire: replyBy<AcquireRequest, LeaseMessage>(log, async (call) => {
        const { reason, ttl } = call.request
        const repository = mutatorPath(call.request.repository)
        const ms = this.#checkTtl(ttl)
        if (ms === undefined) throw new RpcError('invalid', 'ttl is missing')
        await this.#options.authorize(call, { repository, service: 'admin' })
        return toMessage(await leases.open(repository, ms, checkReason(reason)))
      }),
      Renew: replyBy<RenewRequest, LeaseMessage>(log, async (call) => {
        const { id, ttl } = call.request
        const ms = this.#checkTtl(ttl)
        await this.#options.authorize(call, { repository: undefined, service: 'admin' })
        const lease = leases.renew(id, ms)
        if (!lease) throw new RpcError('not-found', unknownLease)
        return toMessage(lease)
      }),
      Release: replyBy<ReleaseRequest, object>(log, async (call) => {
        const { id, unchanged } = call.request
        await this.#options.authorize(call, { repository: undefined, service: 'admin' })
        if (!leases.end(id, !unchanged)) throw new RpcError('not-found', unknownLease)
        this.#holds.get(id)?.()
        return {}
      }),
      Hold: (stream: HoldStream) => {
        this.#hold(stream).catch((error: unknown) => {
          const { status, outcome } = explain(error)
          if (outcome === 'error') log.error({ err: error }, 'an admin call failed')
          stream.emit('error', status)
        })
      },
    }
  }

  /** Tells those who hold a lease to hold it elsewhere. Their leases stay, for the next process to know. */
  handOver(): void {
    for (const end of this.#holds.values())
      end(new RpcError('closing', 'refstream is shutting down; hold again'))
  }

  async #hold(stream: HoldStream): Promise<void> {
    const { leases, authorize } = this.#options
    const repository = mutatorPath(stream.request.repository)
    const reason = checkReason(stream.request.reason)
    await authorize(stream, { repository, service: 'admin' })
    const left = (): boolean => stream.cancelled
    if (left()) return
    const lease = await leases.open(repository, holdMs, reason)
    const { id } = lease
    if (left()) {
      leases.end(id, true)
      return
    }
    const end = (error?: RpcError): void => {
      if (!this.#holds.delete(id)) return
      clearInterval(renewal)
      if (error) stream.emit('error', explain(error).status)
      else stream.end()
    }
    const renewal = setInterval(() => {
      if (!leases.renew(id)) end(new RpcError('not-found', unknownLease))
    }, holdMs / 3).unref()
    this.#holds.set(id, end)
    stream.once('cancelled', () => {
      if (!this.#holds.delete(id)) return
      clearInterval(renewal)
      // Whoever is gone without a word may have changed anything.
      leases.end(id, true)
    })
    stream.write(toMessage(lease))
  }

  /** In milliseconds; undefined: it is not said. @throws Refusal */
  #checkTtl(ttl: Duration | null): number | undefined {
    if (!ttl) return undefined
    const { leaseMaxSeconds } = this.#options
    const ms = toMs(ttl)
    if (ms > 0 && ms <= leaseMaxSeconds * 1000) return ms
    throw new RpcError('invalid', `ttl must be more than nothing and at most ${leaseMaxSeconds} seconds`)
  }
}

/** @throws Refusal */
function checkReason(reason: string): string | undefined {
  if (reason.length > reasonMax)
    throw new RpcError('invalid', `reason is longer than ${reasonMax} characters`)
  return reason || undefined
}

const toMessage = ({
  id,
  repository,
  reason: reason = '',
  ttlMs,
  openedAt,
  expiresAt,
}: LeaseView): LeaseMessage => ({
  id,
  repository,
  reason,
  ttl: toDuration(ttlMs),
  openedAt: toTimestamp(openedAt),
  expiresAt: toTimestamp(expiresAt),
})
