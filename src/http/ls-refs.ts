import type { LsRefsRequest } from '../git/protocol/ls-refs.js'
import type { RefAnswer } from '../service/ref-service.js'
import { writeMax, type Exchange } from './exchange.js'
import { noCacheHeaders } from './responses.js'

/** In Git's order (http-backend.c, service_rpc). */
const headers = [...noCacheHeaders, 'Content-Type', 'application/x-git-upload-pack-result']

/**
 * Sends the answer to an ls-refs command: at once if the listing is whole, else each part as soon as its lines are
 * there, the head with the first.
 * @throws the fill's error; if the head has gone out by then, the connection must be destroyed (R4)
 */
export async function sendRefs(
  exchange: Exchange,
  { listing }: RefAnswer,
  request: LsRefsRequest,
): Promise<void> {
  const { response } = exchange
  const whole = listing.cutNow(request)
  if (whole) {
    response.writeHead(200, [...headers, 'Content-Length', String(whole.length)])
    // What is whole goes out in as few system calls as it can.
    response.cork()
  }
  for await (const part of whole?.parts ?? listing.cut(request)) {
    if (!response.headersSent) response.writeHead(200, headers)
    for (const piece of pieces(part)) {
      if (!(await exchange.send(piece))) return
    }
  }
  response.end()
}

function* pieces(part: Buffer): Generator<Buffer> {
  for (let at = 0; at < part.length; at += writeMax) yield part.subarray(at, at + writeMax)
}
