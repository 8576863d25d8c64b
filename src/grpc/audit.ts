import { randomUUID } from 'node:crypto'
import { status } from '@grpc/grpc-js'
import { leaseDigest } from '../service/lease-digest.js'
import { agentMax } from '../service/request-log.js'
import type { Log } from '../telemetry/log.js'
import { printablePath } from '../telemetry/printable-path.js'
import type { Caller } from './call.js'

export interface AuditOptions {
  readonly log: Log
  /** Returns the address of a call's client; empty: unknown. */
  readonly clientOf: (caller: Caller) => string
  /** Returns the name of the admin token that a call brings; undefined: none that is known. */
  readonly adminOf: (caller: Caller) => string | undefined
}

/** What a call changes, or would have. */
export interface AuditedChange {
  /** The value of `event.name`. */
  readonly event: string
  readonly repository?: string | undefined
  /** The id of a lease. */
  readonly lease?: string | undefined
}

/**
 * The audit trail of one call of an admin service, at level info: what admin/audit.ts writes of requests over HTTP. Made when
 * the call arrives, since a client that has left has no address any more.
 */
export class CallAudit {
  readonly #options: AuditOptions
  readonly #caller: Caller
  readonly #id = randomUUID()
  readonly #address: string
  readonly #admin: string | undefined

  constructor(options: AuditOptions, caller: Caller) {
    this.#options = options
    this.#caller = caller
    this.#address = options.clientOf(caller)
    this.#admin = options.adminOf(caller)
  }

  /** @param change undefined: the call changes nothing, and has a line only if its token is refused */
  write(code: status, change: AuditedChange | undefined): void {
    const isRefused = code === status.UNAUTHENTICATED
    const event = isRefused ? 'refstream.login.refused' : change?.event
    if (event === undefined) return
    const { repository, lease } = change ?? {}
    const [agent] = this.#caller.metadata.get('user-agent')
    this.#options.log.info(
      {
        'event.name': event,
        'rpc.system': 'grpc',
        'rpc.method': this.#caller.getPath(),
        'rpc.grpc.status_code': code,
        'client.address': this.#address || undefined,
        'user.name': this.#admin,
        'user_agent.original': agent?.toString().slice(0, agentMax),
        'refstream.request.id': this.#id,
        'refstream.repository': repository ? printablePath(repository).slice(0, 256) : undefined,
        'refstream.lease': lease ? leaseDigest(lease) : undefined,
      },
      'admin request',
    )
  }
}
