import type { LsRefsRequest } from '../git/protocol/ls-refs.js'
import type { RefAnswer } from '../origin/origin.js'
import { pieces } from '../service/pieces.js'
import { writeMax, type Exchange } from './exchange.js'
import { uploadPackResultHeaders as headers } from './responses.js'

const pieceSize = (): number => writeMax

/**
 * Sends the answer to an ls-refs command: at once if the listing is whole, and else each part as soon as its lines have
 * been read, the head with the first.
 * @throws the fill's error; if the head has been sent by then, the response must be broken off (R4)
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
    // In as few system calls as possible.
    response.cork()
  }
  for await (const part of whole?.parts ?? listing.cut(request)) {
    if (!response.headersSent) response.writeHead(200, headers)
    for (const piece of pieces(part, pieceSize)) {
      if (!(await exchange.send(piece))) return
    }
  }
  response.end()
}
