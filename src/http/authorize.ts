import type { Socket } from 'node:net'
import type { Access } from '../access/access.js'
import type { Grant, AccessRequest } from '../access/access-request.js'
import type { Exchange } from './exchange.js'
import { HttpError } from './responses.js'
import type { Route } from './route.js'

export interface AuthorizeOptions {
  readonly access: Access
  /** The name that a client's certificate gives it. */
  readonly clientName: (socket: Socket) => string | undefined
  /** In lower case. */
  readonly remoteUserHeader: string | undefined
}

/**
 * Asks whether a request may be answered.
 * @throws Refusal, and what Access.check throws
 */
export function authorize(
  { access, clientName, remoteUserHeader }: AuthorizeOptions,
  { request, client }: Exchange,
  route: Route,
): Grant | Promise<Grant> {
  const { headers, method = '', url = '', socket } = request
  return access.check({
    transport: 'http',
    service: serviceOf(route),
    repository: route.repository,
    headers,
    method,
    // The absolute form may name more than a path.
    uri: url.replace(/^https?:\/\/[^/?#]*/i, ''),
    remoteAddress: client.address,
    via: client,
    knownAs:
      remoteUserHeader === undefined
        ? clientName(socket)
        : remoteUser(request.headersDistinct[remoteUserHeader], remoteUserHeader),
  })
}

function serviceOf({ resource, service }: Route): AccessRequest['service'] {
  const asked = resource === '/info/refs' ? service : resource.slice(1)
  switch (asked) {
    case 'git-upload-pack':
    case 'git-receive-pack':
    case 'git-upload-archive':
      return asked
    default:
      return 'dumb'
  }
}

/** The user whom a proxy in front has named. Twice is once too often: one of them may be the client's own word. */
function remoteUser(values: readonly string[] = [], header: string): string | undefined {
  if (values.length > 1) throw new HttpError(400, `the request has more than one ${header}`)
  const name = values[0]
  if (name === undefined || name === '') return undefined
  if (!/^[^\p{Cc}]{1,256}$/u.test(name)) throw new HttpError(400, `the request's ${header} is not a name`)
  // Header values arrive as Latin-1; names in UTF-8 get their bytes back.
  return Buffer.from(name, 'latin1').toString()
}
