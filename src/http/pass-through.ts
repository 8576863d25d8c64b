import { gitProtocol } from '../git/protocol/version.js'
import type { OriginResponse, PassThroughRequest } from '../origin/pass-through.js'
import type { Exchange } from './exchange.js'
import { originForm, type Route } from './route.js'

const empty = Buffer.alloc(0)

/** Returns a request as an origin understands it. Nothing in it is checked: what its values may be is for the origin to know. */
export function passThroughRequest(
  { request, peeked, version, client }: Exchange,
  { resource, requestedService }: Pick<Route, 'resource' | 'requestedService'>,
  remoteUser: string | undefined,
): PassThroughRequest {
  const { headers, method = '', url = '' } = request
  return {
    method,
    uri: originForm(url),
    headers: request.rawHeaders,
    body: { beginning: peeked?.beginning ?? empty, ended: peeked?.ended ?? false, rest: request },
    resource,
    service: resource === '/info/refs' ? requestedService : undefined,
    contentType: headers['content-type'],
    contentLength: headers['content-length'],
    contentEncoding: headers['content-encoding'],
    gitProtocol: gitProtocol(version),
    remoteUser,
    remoteAddress: client.address,
  }
}

/**
 * Sends an origin's answer as it comes, as fast as the client takes it.
 * @returns whether the answer is whole; if it is not, its client sees that it is broken (R4)
 * @throws what reading the body throws; the response must be broken off then
 */
export async function sendOriginResponse(exchange: Exchange, answer: OriginResponse): Promise<boolean> {
  const { request, response } = exchange
  writeHead(exchange, answer)
  if (request.method === 'HEAD') {
    answer.end()
    response.end()
    return true
  }
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    // After the client has disconnected, the body is still read to its end: a push is carried out to its end.
    if (!exchange.aborted && !exchange.write(chunk)) await exchange.drained()
  }
  exchange.throwIfAborted()
  const isWhole = await answer.whole()
  if (isWhole) response.end()
  else exchange.breakOff()
  return isWhole
}

/** @throws if HTTP does not allow such a head; then the answer is given up */
function writeHead({ response }: Exchange, answer: OriginResponse): void {
  try {
    response.writeHead(answer.status, answer.statusText, answer.headers)
  } catch (error) {
    answer.end()
    // Node has kept it, and would send it with the error.
    response.statusMessage = ''
    throw error
  }
}

/** Drops what is left of a request's body after its answer, so that the client can send its next request. */
export function dropBody({ request }: Exchange): void {
  request.unpipe()
  request.resume()
}
