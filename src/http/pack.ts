import type { PackRefused } from '../git/process/pack-answer.js'
import type { PackAnswer } from '../origin/pack-answer.js'
import { sendEntryBody } from './entry-body.js'
import type { Exchange } from './exchange.js'
import { uploadPackResultHeaders as headers } from './responses.js'

/**
 * Sends the answer to a fetch as a follower reads it.
 * @throws the fill's error; the response must be broken off then (R4)
 */
export async function sendPack(exchange: Exchange, { first, follower }: PackAnswer): Promise<void> {
  const { response } = exchange
  const { size } = follower
  response.writeHead(200, size === undefined ? headers : [...headers, 'Content-Length', String(size)])
  return sendEntryBody(exchange, follower, first)
}

/** Sends Git's message to the client of a fetch that was refused, as `git http-backend` does: with status 200. */
export function sendRefusal({ response }: Exchange, { answer }: PackRefused): void {
  response.writeHead(200, [...headers, 'Content-Length', String(answer.length)])
  response.end(answer)
}
