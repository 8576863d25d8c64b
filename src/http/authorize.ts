import type { Socket } from 'node:net'
import type { Access } from '../access/access.js'
import type { AccessRequest, Grant } from '../access/access-request.js'
import type { Exchange } from './exchange.js'
import { HttpError } from './responses.js'
import { originForm, type Route } from './route.js'

export interface AuthorizeOptions {
  readonly access: Access
  /** Returns the name that a client's certificate gives it. */
  readonly clientName: (socket: Socket) => string | undefined
  /** The header in which a proxy in front names the user, in lower case. */
  readonly remoteUserHeader: string | undefined
}

/**
 * Checks that a request may be answered: at once, unless a password or another service has to be asked.
 * @throws HttpError, and what Access.check throws; or rejects with it
 */
export function authorize(
  { access, clientName, remoteUserHeader }: AuthorizeOptions,
  exchange: Exchange,
  route: Route,
): Grant | Promise<Grant> {
  const { request } = exchange
  const knownAs =
    remoteUserHeader === undefined
      ? clientName(request.socket)
      : remoteUser(request.headersDistinct[remoteUserHeader], remoteUserHeader)
  return access.grantAny(knownAs) ?? access.check(accessRequest(exchange, route, knownAs))
}

function accessRequest(
  { request, client }: Exchange,
  { service, repository }: Route,
  knownAs: string | undefined,
): AccessRequest {
  const { headers, method = '', url = '' } = request
  return {
    transport: 'http',
    service,
    repository,
    headers,
    method,
    uri: originForm(url),
    remoteAddress: client.address,
    via: client,
    knownAs,
  }
}

/** Returns the user that a proxy in front has named. More than one value is refused: one may come from the client. */
function remoteUser(values: readonly string[] = [], header: string): string | undefined {
  if (values.length > 1) throw new HttpError(400, `the request has more than one ${header}`)
  const name = values[0]
  if (name === undefined || name === '') return undefined
  if (!/^[^\p{Cc}]{1,256}$/u.test(name)) throw new HttpError(400, `the request's ${header} is not a name`)
  // Header values arrive as Latin-1; names in UTF-8 get their bytes back.
  return Buffer.from(name, 'latin1').toString()
}
