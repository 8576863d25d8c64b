import type { Metadata } from '@grpc/grpc-js'
import type { Socket } from 'node:net'
import type { Access } from '../access/access.js'
import { peerOf, TrustedProxies } from '../access/proxies.js'
import type { Tokens } from '../access/tokens.js'
import type { Caller, CallTarget } from './call.js'
import type { Grant } from '../access/access-request.js'
import { RpcError } from './status.js'

export interface AuthorizeOptions {
  readonly access: Access
  /** Whose tokens open the lease and the cache service. */
  readonly adminTokens: (() => Tokens) | undefined
  /** Are these services open where there are no such tokens? */
  readonly adminOpen: boolean
  /** The name that a client's certificate gives it. */
  readonly clientName: (socket: Socket) => string | undefined
  /** Who may say for whom a call is; undefined: nobody. */
  readonly proxies?: TrustedProxies | undefined
  /** Do clients come by a Unix socket? */
  readonly unix?: boolean
}

/** Asks whether a call may be answered. `socket`: its connection. @throws Refusal, and what Access.check throws */
export type Authorize = (
  caller: Caller,
  wanted: CallTarget,
  socket: Socket | undefined,
) => Promise<Pick<Grant, 'identity'>>

/** Tells the address of the client that calls, whoever it is through; empty: nobody can say. */
export type ClientOf = (caller: Caller, socket: Socket | undefined) => string

export function clientBy(options: AuthorizeOptions): ClientOf {
  return (caller, socket) => clientOf(options, caller, socket, headersOf(caller.metadata)).address ?? ''
}

const nobodyTrusted = new TrustedProxies([])

function clientOf(
  { proxies = nobodyTrusted, unix }: AuthorizeOptions,
  caller: Caller,
  socket: Socket | undefined,
  headers: Headers,
): ReturnType<TrustedProxies['clientOf']> {
  const peer = socket ? { ...peerOf(socket), unix } : { remoteAddress: undefined }
  return proxies.clientOf(peer, { ...headers, host: caller.getHost?.() })
}

/** By the same rules as the other doors: data is for those who may read, leases are for those who hold an admin token. */
export function authorizeBy(options: AuthorizeOptions): Authorize {
  return async (caller, { repository, service }, socket) => {
    const headers = headersOf(caller.metadata)
    if (service === 'admin') {
      checkAdmin(options, headers)
      return {}
    }
    const via = clientOf(options, caller, socket, headers)
    return options.access.check({
      transport: 'grpc',
      service: 'git-upload-pack',
      repository: repository ?? '',
      headers,
      method: 'POST',
      uri: caller.getPath(),
      remoteAddress: via.address,
      via,
      knownAs: socket && options.clientName(socket),
    })
  }
}

type Headers = Readonly<Record<string, string | string[]>>

/** @throws Refusal */
function checkAdmin({ adminTokens, adminOpen }: AuthorizeOptions, { authorization }: Headers): void {
  if (!adminTokens) {
    if (adminOpen) return
    throw new RpcError('denied', 'an address that others can reach serves this with --admin-token-file only')
  }
  if (adminTokens().matchAnyOf(authorization)) return
  throw new RpcError('unauthenticated', 'an admin token is needed: authorization: Bearer TOKEN')
}

/** Metadata as header fields; binary values are nobody's credentials. */
function headersOf(metadata: Metadata): Headers {
  const fields = Object.keys(metadata.getMap()).map((name): [string, string | string[]] => {
    const values = metadata.get(name).filter((value) => typeof value === 'string')
    return [name, values.length === 1 ? values[0]! : values]
  })
  return Object.fromEntries(fields)
}
