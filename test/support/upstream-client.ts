import type { Test } from 'tap'
import {
  UpstreamClient,
  type UpstreamClientOptions,
  type UpstreamRequest,
  type UpstreamResponse,
} from '../../src/origin/upstream/client/upstream-client.js'

export const userAgent = 'git/2.55.0 refstream/0.0.0'

/** Creates a client that ends with the test, and records its events. */
export function createUpstreamClient(t: Test, url: string, options: Partial<UpstreamClientOptions> = {}) {
  const events: string[] = []
  const client = new UpstreamClient({
    url,
    connections: 4,
    connectMs: 10_000,
    headMs: 20_000,
    silenceMs: 20_000,
    passSilenceMs: 20_000,
    queue: { queueMax: 100, waitMs: 20_000 },
    userAgent,
    ...options,
    events: {
      failed: (_host, requestClass, { message }) => events.push(`failed ${requestClass} ${message}`),
      replayed: (_host, requestClass) => events.push(`replayed ${requestClass}`),
      breakerChanged: (_host, isOpen) => events.push(isOpen ? 'opened' : 'closed'),
      ...options.events,
    },
  })
  t.teardown(() => client.close())
  return { client, events, ask: (request?: Partial<UpstreamRequest>) => client.request(requestOf(request)) }
}

export const requestOf = (request: Partial<UpstreamRequest> = {}): UpstreamRequest => ({
  method: 'GET',
  path: '/repo/info/refs?service=git-upload-pack',
  headers: {},
  class: 'fill',
  group: 'repo',
  admitted: false,
  signal: new AbortController().signal,
  ...request,
})

/** Reads a body to its end. @throws its error */
export async function bodyOf({ body }: UpstreamResponse): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
