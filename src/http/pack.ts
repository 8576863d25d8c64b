import { PackRefused } from '../git/process/pack-process.js'
import type { PackAnswer } from '../service/packs/pack-service.js'
import { FillError } from '../streamcache/index.js'
import type { Exchange } from './exchange.js'
import { noCacheHeaders } from './responses.js'

/** In Git's order (http-backend.c, service_rpc). */
const headers = [...noCacheHeaders, 'Content-Type', 'application/x-git-upload-pack-result']

/**
 * Sends the answer to a fetch as a follower reads it.
 * @throws the fill's error; the response must be broken off then (R4)
 */
export async function sendPack(exchange: Exchange, { first, follower }: PackAnswer): Promise<void> {
  const { response } = exchange
  const { size } = follower
  response.writeHead(200, size === undefined ? headers : [...headers, 'Content-Length', String(size)])
  for (let chunk = first; chunk; chunk = await follower.read()) {
    if (follower.offset === follower.size) return exchange.end(chunk)
    if (!(await exchange.send(chunk))) return
  }
  if (!exchange.aborted) response.end()
}

/** Returns the message of Git for the client of a fetch that was refused, as an answer of its own; see PackRefused. */
export function refusalOf(error: unknown): Buffer | undefined {
  const cause: unknown = error instanceof FillError ? error.cause : error
  return cause instanceof PackRefused ? cause.answer : undefined
}

/** Sends that message, as `git http-backend` does: with status 200. */
export function sendRefusal({ response }: Exchange, answer: Buffer): void {
  response.writeHead(200, [...headers, 'Content-Length', String(answer.length)])
  response.end(answer)
}
