import { printableLine } from '../../faults/printable-line.js'
import type { ExchangeResponse } from './exchange.js'
import { valuesOf } from './headers.js'

/** Most bytes that are read for it, and most milliseconds: the connection is wanted for other requests. */
const bytesMax = 4096
const withinMs = 1000

/**
 * Returns the first line that a response with an error says, for a message: printable characters, at most 200. Returns
 * the text of the status, or nothing, if the body is no plain text. What is left of the body is dropped.
 */
export async function firstLine({ body, headers, statusText = '' }: ExchangeResponse): Promise<string> {
  const isReadable =
    valuesOf(headers, 'content-encoding').length === 0 &&
    /^(?:text\/plain|application\/(?:[a-z.-]+\+)?json)\b|^$/i.test(valuesOf(headers, 'content-type')[0] ?? '')
  const chunks: Buffer[] = []
  const timer = setTimeout(() => body.destroy(), withinMs)
  try {
    if (isReadable) {
      let length = 0
      for await (const chunk of body as AsyncIterable<Buffer>) {
        chunks.push(chunk)
        if ((length += chunk.length) >= bytesMax) break
      }
    }
  } catch {
    // What has arrived will do.
  } finally {
    clearTimeout(timer)
    body.destroy()
  }
  return printableLine(Buffer.concat(chunks).toString()) || printableLine(statusText)
}
