import { status, type ServerWritableStream, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { changedRefs, MalformedRefName } from '../../service/changed-refs.js'
import type { LeaseService, LeaseView } from '../../service/lease-service.js'
import { heldLeaseMs, renewalIntervalMs } from '../../freshness/leases/lease-renewal.js'
import { UnknownLease } from '../../origin/faults/errors.js'
import { CallAudit, type AuditedChange, type AuditOptions } from '../audit.js'
import { replyBy, statusOf } from '../admin-call.js'
import type { CallOptions } from '../call.js'
import { toDuration, toMs, toTimestamp, type Duration } from '../proto/definitions.js'
import { mutatorPath } from './requests.js'
import { toRpcFailure, RpcError } from '../status.js'

/** Most characters of a reason. */
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
interface ReleaseRequest extends Pick<LeaseMessage, 'id'> {
  readonly unchanged: boolean
  readonly refs: readonly Buffer[]
}
type HoldStream = ServerWritableStream<HoldRequest, LeaseMessage>

export interface GrpcLeaseServiceOptions extends Pick<CallOptions, 'authorize'>, AuditOptions {
  readonly leases: LeaseService
  /** Longest time limit of a lease, in seconds. */
  readonly leaseMaxSeconds: number
}

/** Serves refstream.v1.LeaseService. */
export class LeaseCalls {
  readonly #options: GrpcLeaseServiceOptions
  /** What ends a call that holds a lease, by the lease's id. */
  readonly #holds = new Map<string, (error?: unknown) => void>()

  constructor(options: GrpcLeaseServiceOptions) {
    this.#options = options
  }

  get handlers(): UntypedServiceImplementation {
    const { leases } = this.#options
    return {
      Acquire: replyBy<AcquireRequest, LeaseMessage>(
        this.#options,
        async (call) => {
          const { reason, ttl } = call.request
          const repository = mutatorPath(call.request.repository)
          const ms = this.#checkTtl(ttl)
          if (ms === undefined) throw new RpcError('invalid', 'ttl is missing')
          await this.#options.authorize(call, { repository, service: 'admin' })
          return toMessage(await leases.open(repository, ms, checkReason(reason)))
        },
        ({ repository }, lease) => ({ event: 'refstream.lease.open', repository, ...named(lease) }),
      ),
      Renew: replyBy<RenewRequest, LeaseMessage>(
        this.#options,
        async (call) => {
          const { id, ttl } = call.request
          const ms = this.#checkTtl(ttl)
          await this.#options.authorize(call, { repository: undefined, service: 'admin' })
          return toMessage(await leases.renew(id, ms))
        },
        ({ id }, lease) => ({ event: 'refstream.lease.renew', lease: id, ...named(lease) }),
      ),
      Release: replyBy<ReleaseRequest, object>(
        this.#options,
        async (call) => {
          const { id, unchanged, refs } = call.request
          const names = checkRefs(refs)
          await this.#options.authorize(call, { repository: undefined, service: 'admin' })
          await leases.end(id, !unchanged, names)
          this.#holds.get(id)?.()
          return {}
        },
        ({ id }) => ({ event: 'refstream.lease.end', lease: id }),
      ),
      Hold: (stream: HoldStream) => {
        const audit = new CallAudit(this.#options, stream)
        this.#hold(stream, audit).catch((error: unknown) => {
          const failure = statusOf(error, stream.getPath(), this.#options.log)
          const { repository } = stream.request
          audit.write(failure.code, { event: 'refstream.lease.open', repository })
          stream.emit('error', failure)
        })
      },
    }
  }

  /** Ends the calls that hold leases, for their clients to hold them elsewhere. The leases stay open, also in the journal. */
  handOver(): void {
    for (const end of this.#holds.values())
      end(new RpcError('closing', 'refstream is shutting down; hold again'))
  }

  async #hold(stream: HoldStream, audit: CallAudit): Promise<void> {
    const { leases, authorize } = this.#options
    const repository = mutatorPath(stream.request.repository)
    const reason = checkReason(stream.request.reason)
    await authorize(stream, { repository, service: 'admin' })
    const hasLeft = (): boolean => stream.cancelled
    if (hasLeft()) return
    const lease = await leases.open(repository, heldLeaseMs, reason)
    const { id } = lease
    audit.write(status.OK, { event: 'refstream.lease.open', ...named(lease) })
    const ended = { event: 'refstream.lease.end', ...named(lease) }
    if (hasLeft()) {
      audit.write(status.CANCELLED, ended)
      await this.#endIfOpen(id)
      return
    }
    const end = (error?: unknown): void => {
      if (!this.#forget(id, renewal)) return
      if (error === undefined) stream.end()
      else stream.emit('error', toRpcFailure(error).status)
    }
    const renew = async (): Promise<void> => {
      try {
        await leases.renew(id)
      } catch (error) {
        end(error)
      }
    }
    const renewal = setInterval(() => void renew(), renewalIntervalMs(heldLeaseMs)).unref()
    this.#holds.set(id, end)
    stream.once('cancelled', () => {
      if (!this.#forget(id, renewal)) return
      audit.write(status.CANCELLED, ended)
      void this.#endIfOpen(id)
    })
    stream.write(toMessage(lease))
  }

  /** @returns false: the call does not hold the lease any more */
  #forget(id: string, renewal: NodeJS.Timeout): boolean {
    clearInterval(renewal)
    return this.#holds.delete(id)
  }

  /** Ends a lease whose holder has gone: anything may have changed. It may have ended by its id, or expired. */
  async #endIfOpen(id: string): Promise<void> {
    try {
      await this.#options.leases.end(id, true)
    } catch (error) {
      if (!(error instanceof UnknownLease))
        this.#options.log.error({ err: error }, 'a lease could not be ended; it will expire')
    }
  }

  /** Returns a time limit in milliseconds; undefined: there is none. @throws RpcError */
  #checkTtl(ttl: Duration | null): number | undefined {
    if (!ttl) return undefined
    const { leaseMaxSeconds } = this.#options
    const ms = toMs(ttl)
    if (ms > 0 && ms <= leaseMaxSeconds * 1000) return ms
    throw new RpcError('invalid', `ttl must be more than 0 and at most ${leaseMaxSeconds} seconds`)
  }
}

/** Returns what the audit trail says of a lease. */
const named = (lease?: Pick<LeaseMessage, 'id' | 'repository'>): Omit<AuditedChange, 'event'> =>
  lease ? { repository: lease.repository, lease: lease.id } : {}

/** @throws RpcError */
function checkReason(reason: string): string | undefined {
  if (reason.length > reasonMax)
    throw new RpcError('invalid', `reason is longer than ${reasonMax} characters`)
  return reason || undefined
}

/** Returns names as leases keep them. @throws RpcError */
function checkRefs(refs: readonly Buffer[]): readonly string[] | undefined {
  try {
    return changedRefs(refs)
  } catch (error) {
    throw error instanceof MalformedRefName ? new RpcError('invalid', `refs: ${error.message}`) : error
  }
}

const toMessage = ({ id, repository, reason = '', ttlMs, openedAt, expiresAt }: LeaseView): LeaseMessage => ({
  id,
  repository,
  reason,
  ttl: toDuration(ttlMs),
  openedAt: toTimestamp(openedAt),
  expiresAt: toTimestamp(expiresAt),
})
