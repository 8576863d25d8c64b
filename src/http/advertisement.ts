import type { Follower } from '../streamcache/index.js'
import type { Exchange } from './exchange.js'
import { drained, noCacheHeaders } from './responses.js'

/** In Git's order (http-backend.c, get_info_refs). */
const headers = [...noCacheHeaders, 'Content-Type', 'application/x-git-upload-pack-advertisement']

/**
 * Sends what a follower reads as the answer to `GET info/refs?service=git-upload-pack`. The head goes out with the
 * first bytes, so that a fill that fails without any can still be told as an error.
 * @throws the fill's error; if the head has gone out by then, the connection must be destroyed (R4)
 */
export async function sendAdvertisement(exchange: Exchange, follower: Follower): Promise<void> {
  const { request, response, signal } = exchange
  let chunk = await follower.read()
  const { size } = follower
  response.writeHead(200, size === undefined ? headers : [...headers, 'Content-Length', String(size)])
  if (request.method === 'HEAD') chunk = null
  while (chunk && !signal.aborted) {
    if (!exchange.write(chunk) && !(await drained(response))) return
    chunk = await follower.read()
  }
  if (!signal.aborted) response.end()
}
