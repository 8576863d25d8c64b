import type { Test } from 'tap'
import {
  Agent,
  createServer,
  request as requestHttp,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What goes wrong with one response. Bytes are counted from the beginning of its head, as they are sent. */
export type Fault =
  /** The connection is reset after that many bytes; 0: before any. */
  | { readonly kind: 'reset'; readonly after: number }
  /** The connection is closed in order (FIN) after that many bytes. */
  | { readonly kind: 'close'; readonly after: number }
  /** Nothing is sent after that many bytes, and the connection stays open; 0: no head comes. */
  | { readonly kind: 'hang'; readonly after: number }
  /** The target is asked when this has resolved. */
  | { readonly kind: 'wait'; readonly until: Promise<unknown> }
  /** The body comes at this speed. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** The body is sent with a Content-Length that differs by this many bytes from the true one. */
  | { readonly kind: 'wrong-length'; readonly by: number }
  /** The body is sent in chunks, and that many bytes of the body end the connection instead of the last chunk. */
  | { readonly kind: 'truncated-chunks'; readonly after: number }
  /** Bytes that are not HTTP are sent instead of the response. */
  | { readonly kind: 'garbage' }
  /** This is answered, and the target is not asked. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }

/** A request as it came to the proxy. */
export interface ProxiedRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

/** A proxy in front of a server, which counts requests and spoils responses. */
export interface FaultProxy {
  readonly url: string
  /** All requests, in the order in which their heads came. */
  readonly requests: ProxiedRequest[]
  /** Connections that were accepted, that are open, and most that were open at once. */
  readonly connections: { accepted: number; open: number; most: number }
  /** Requests in progress, and most at once. */
  readonly running: { now: number; most: number }
  /** Spoils the next responses to requests for which `when` holds: one, unless `times` says another number. */
  fault(next: Fault, when?: (request: ProxiedRequest) => boolean, times?: number): void
  /** Forgets faults that have not come about. */
  clear(): void
  /** Closes connections on which no request is in progress. @param by in order, or with a reset */
  closeIdle(by?: 'close' | 'reset'): void
}

/** Starts a proxy, which ends with the test. @param target the URL of an HTTP server, whose path comes before others */
export async function startFaultProxy(t: Test, { target }: { readonly target: string }): Promise<FaultProxy> {
  const base = new URL(target)
  const agent = new Agent({ keepAlive: true })
  const requests: ProxiedRequest[] = []
  const connections = { accepted: 0, open: 0, most: 0 }
  const running = { now: 0, most: 0 }
  const busy = new Map<Socket, number>()
  let faults: { fault: Fault; when: (request: ProxiedRequest) => boolean; times: number }[] = []

  const faultFor = (request: ProxiedRequest): Fault | undefined => {
    const found = faults.find(({ when }) => when(request))
    if (found && --found.times === 0) faults = faults.filter((each) => each !== found)
    return found?.fault
  }

  const server = createServer((request, response) => {
    const proxied = { method: request.method!, path: request.url!, headers: request.headers }
    requests.push(proxied)
    running.most = Math.max(running.most, ++running.now)
    const { socket } = request
    busy.set(socket, busy.get(socket)! + 1)
    response.once('close', () => {
      running.now--
      if (busy.has(socket)) busy.set(socket, busy.get(socket)! - 1)
    })
    answer(request, response, faultFor(proxied), base, agent).catch(() => socket.destroy())
  })
  // Only closeIdle() closes idle connections.
  server.keepAliveTimeout = 0
  server.on('connection', (socket) => {
    connections.accepted++
    connections.most = Math.max(connections.most, ++connections.open)
    busy.set(socket, 0)
    socket.on('error', () => {})
    socket.once('close', () => {
      connections.open--
      busy.delete(socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    agent.destroy()
    for (const socket of busy.keys()) socket.destroy()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    connections,
    running,
    fault: (fault, when = () => true, times = 1) => void faults.push({ fault, when, times }),
    clear: () => void (faults = []),
    closeIdle: (by = 'close') => {
      for (const [socket, requestsOf] of busy) {
        if (requestsOf > 0) continue
        if (by === 'reset') socket.resetAndDestroy()
        else socket.destroy()
      }
    },
  }
}

const perConnection = new Set(['connection', 'keep-alive', 'proxy-connection', 'expect'])

const withoutPerConnection = (raw: readonly string[]): string[] =>
  raw.filter((_, index) => !perConnection.has(raw[index - (index % 2)]!.toLowerCase()))

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault | undefined,
  base: URL,
  agent: Agent,
): Promise<void> {
  const { socket } = request
  if (fault?.kind === 'garbage') return void socket.end('\u0000\u0001 this is not HTTP at all\r\n\r\n')
  if (fault?.kind === 'answer') {
    request.resume()
    response.writeHead(fault.status, fault.headers)
    return void response.end(fault.body ?? '')
  }
  if (fault?.kind === 'wait') await fault.until
  if (fault && 'after' in fault && fault.kind !== 'truncated-chunks') limitBytes(response, fault)
  const incoming = await forwarded(request, response, base, agent)
  let headers = withoutPerConnection(incoming.rawHeaders)
  if (fault?.kind === 'wrong-length' || fault?.kind === 'truncated-chunks') {
    const { length, body } = await bodyOf(incoming)
    headers = headers.filter(
      (_, index) => !/^(?:content-length|transfer-encoding)$/i.test(headers[index - (index % 2)]!),
    )
    if (fault.kind === 'wrong-length') {
      // Node checks no length that it is not told about.
      response.strictContentLength = false
      response.writeHead(incoming.statusCode!, [...headers, 'Content-Length', String(length + fault.by)])
      response.end(body)
      if (fault.by > 0) response.once('finish', () => socket.end())
    } else {
      response.writeHead(incoming.statusCode!, [...headers, 'Transfer-Encoding', 'chunked'])
      response.write(body.subarray(0, fault.after), () => socket.destroySoon())
    }
    return
  }
  response.writeHead(incoming.statusCode!, incoming.statusMessage, headers)
  response.flushHeaders()
  const piece = fault?.kind === 'slow' ? Math.max(1, Math.ceil(fault.bytesPerSecond / 20)) : Infinity
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += piece) {
      const part = chunk.subarray(at, Math.min(chunk.length, at + piece))
      if (!response.write(part) && !response.destroyed)
        await Promise.race([once(response, 'drain'), once(response, 'close')])
      if (fault?.kind === 'slow')
        await sleep((part.length / fault.bytesPerSecond) * 1000, undefined, { ref: false })
    }
  }
  response.end()
}

const once = (emitter: ServerResponse, event: string): Promise<void> =>
  new Promise((resolve) => emitter.once(event, () => resolve()))

/** Sends a request on. */
function forwarded(
  request: IncomingMessage,
  response: ServerResponse,
  base: URL,
  agent: Agent,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = requestHttp({
      agent,
      host: base.hostname,
      port: base.port,
      method: request.method!,
      path: base.pathname.replace(/\/$/, '') + request.url!,
      headers: withoutPerConnection(request.rawHeaders),
    })
    sent.once('response', resolve)
    sent.once('error', reject)
    // The server has answered without reading all of it.
    sent.once('close', () => request.resume())
    response.once('close', () => sent.destroy())
    request.pipe(sent)
  })
}

async function bodyOf(incoming: IncomingMessage): Promise<{ length: number; body: Buffer }> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  return { length: body.length, body }
}

/** Lets that many bytes of a response through to its socket, and then resets it, closes it, or drops all others. */
function limitBytes(response: ServerResponse, { kind, after }: { kind: string; after: number }): void {
  const socket = response.socket!
  let left = after
  const stop = (): void => {
    if (kind === 'reset') socket.resetAndDestroy()
    else if (kind === 'close') socket.destroySoon()
  }
  if (after === 0 && kind !== 'hang') return stop()
  // A response that is shorter ends as it should, and the next one on the connection is not limited.
  response.once('finish', () => left > 0 && Reflect.deleteProperty(socket, 'write'))
  const write = socket.write.bind(socket) as (data: Buffer, callback?: () => void) => boolean
  socket.write = (data: string | Uint8Array, ...rest: unknown[]): boolean => {
    const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8'
    const callback = rest.find((each) => typeof each === 'function') as (() => void) | undefined
    const bytes = typeof data === 'string' ? Buffer.from(data, encoding) : Buffer.from(data)
    if (left === 0) {
      if (callback) setImmediate(callback)
      return true
    }
    const part = bytes.subarray(0, left)
    left -= part.length
    return write(part, () => {
      callback?.()
      if (left === 0) stop()
    })
  }
}
