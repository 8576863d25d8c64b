import type { Metadata } from '@grpc/grpc-js'
import type { Socket } from 'node:net'
import type { Access } from '../access/access.js'
import { parseCredentials } from '../access/credentials.js'
import { peerOf, TrustedProxies } from '../access/proxies.js'
import type { Tokens } from '../access/tokens.js'
import type { Caller, CallTarget } from './call.js'
import type { Grant } from '../access/access-request.js'
import { RpcError } from './status.js'

export interface AuthorizeOptions {
  readonly access: Access
  /** Returns the tokens that the lease and the cache service need; undefined: there are none. */
  readonly adminTokens: (() => Tokens) | undefined
  /** Are these services open without tokens? */
  readonly adminOpen: boolean
  /** Returns the name that a client's certificate gives it. */
  readonly clientName: (socket: Socket) => string | undefined
  /** Proxies that are trusted to name the client; undefined: none. */
  readonly proxies?: TrustedProxies | undefined
  /** Do clients connect to a Unix socket? */
  readonly unix?: boolean
}

/** Checks that a call on a connection may be answered. @throws RpcError, and what Access.check throws */
export type Authorize = (
  caller: Caller,
  wanted: CallTarget,
  socket: Socket | undefined,
) => Promise<Pick<Grant, 'identity'> & Partial<Grant>>

/** Returns the address of a call's client, through any trusted proxies; empty: unknown. */
export type ClientOf = (caller: Caller, socket: Socket | undefined) => string

export function clientBy(options: AuthorizeOptions): ClientOf {
  return (caller, socket) => clientOf(options, caller, socket, headersOf(caller.metadata)).address ?? ''
}

/** Returns the name of the admin token that a call brings; undefined: none that is known. */
export type AdminOf = (caller: Caller) => string | undefined

export const adminBy =
  ({ adminTokens }: AuthorizeOptions): AdminOf =>
  (caller) => {
    const credentials = parseCredentials(headersOf(caller.metadata)['authorization'])
    return credentials?.scheme === 'bearer' ? adminTokens?.().nameOf(credentials.token) : undefined
  }

const noProxies = new TrustedProxies([])

function clientOf(
  { proxies = noProxies, unix }: AuthorizeOptions,
  caller: Caller,
  socket: Socket | undefined,
  headers: Headers,
): ReturnType<TrustedProxies['clientOf']> {
  const peer = socket ? peerOf(socket, unix) : { remoteAddress: undefined }
  return proxies.clientOf(peer, { ...headers, host: caller.getHost?.() })
}

/** Applies the rules of the other servers: data needs read access, leases and the cache need an admin token. */
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

/** @throws RpcError */
function checkAdmin({ adminTokens, adminOpen }: AuthorizeOptions, { authorization }: Headers): void {
  if (!adminTokens) {
    if (adminOpen) return
    throw new RpcError('denied', 'without --admin-token-file, this is served on a local address only')
  }
  if (adminTokens().matchAnyOf(authorization)) return
  throw new RpcError('unauthenticated', 'an admin token is needed: authorization: Bearer TOKEN')
}

/** Returns metadata as header fields, without binary values, which no credentials are. */
function headersOf(metadata: Metadata): Headers {
  const fields = Object.keys(metadata.getMap()).map((name): [string, string | string[]] => {
    const values = metadata.get(name).filter((value) => typeof value === 'string')
    return [name, values.length === 1 ? values[0]! : values]
  })
  return Object.fromEntries(fields)
}
