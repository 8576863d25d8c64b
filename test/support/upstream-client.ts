import type { Test } from 'tap'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  UpstreamClient,
  type UpstreamClientOptions,
  type UpstreamRequest,
  type UpstreamResponse,
} from '../../src/origin/upstream/client/upstream-client.js'

import { startFaultProxy } from './fault-proxy.js'

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

/** Starts a server that ends with the test. @returns its URL */
export async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A server behind a fault proxy. */
export async function behindProxy(t: Test, listener: RequestListener) {
  return await startFaultProxy(t, { target: await serve(t, listener) })
}
