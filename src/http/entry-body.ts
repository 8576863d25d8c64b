import type { CompressedForm } from '../service/compressed-forms.js'
import type { Follower } from '../streamcache/index.js'
import type { Exchange } from './exchange.js'

/**
 * Sends what a follower reads as a response's body, and ends the response, whose head was written. A body that is one chunk,
 * as most are, costs no promise.
 * @param first what the follower has read already; null: an empty body
 * @throws the fill's error, or rejects with it; the response must be broken off then (R4)
 */
export function sendEntryBody(
  exchange: Exchange,
  follower: Follower,
  first: Buffer | null,
): Promise<void> | undefined {
  if (first && follower.offset === follower.size) return exchange.end(first)
  return sendChunks(exchange, follower, first)
}

async function sendChunks(exchange: Exchange, follower: Follower, first: Buffer | null): Promise<void> {
  let isInMemory = true
  for (let chunk = first; chunk;) {
    const { size } = follower
    if (follower.offset === size) return exchange.end(chunk)
    // The followers of a growing entry read what their clients have taken: the slowest may set the pace.
    const left = size === undefined ? undefined : size - follower.offset + chunk.length
    if (!(await exchange.send(chunk, isInMemory && size !== undefined, left))) return
    const next = follower.read()
    isInMemory = !(next instanceof Promise)
    chunk = await next
  }
  if (!exchange.aborted) exchange.response.end()
}

/** Sends a compressed form as a response's body, and ends the response, whose head was written. */
export async function sendForm(exchange: Exchange, { chunks, length }: CompressedForm): Promise<void> {
  let left = length
  for (const chunk of chunks) {
    if (!(await exchange.send(chunk, true, left))) return
    left -= chunk.length
  }
  exchange.response.end()
}
