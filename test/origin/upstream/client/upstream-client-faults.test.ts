// Faults of an upstream, or of the way to it: every caller gets a whole response or an error.
import t, { type Test } from 'tap'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { UpstreamUnavailable } from '../../../../src/origin/upstream/client/upstream-client.js'
import { eventually } from '../../../support/eventually.js'
import { FakeClock } from '../../../support/fake-clock.js'
import type { Fault } from '../../../support/fault-proxy.js'
import { turns } from '../../../support/producers.js'
import { behindProxy, bodyOf, createUpstreamClient } from '../../../support/upstream-client.js'

const length = 300_000
/** A response with a Content-Length, or in chunks, as the path says. */
const server: RequestListener = (request, response) => {
  request.resume()
  if (request.url === '/length') response.writeHead(200, { 'Content-Length': length })
  response.end(Buffer.alloc(length, 'x'))
}
/** A body that is never sent again. */
const streamed = () => Readable.from([Buffer.from('streamed')])

const unavailable = (values: Partial<UpstreamUnavailable>): Error =>
  Object.assign(new Error(), { name: 'UpstreamUnavailable', ...values })

const closed = /closed the connection before a response was whole/
const late = /no response within 0.3 seconds/
const faults: (readonly [Fault, RegExp])[] = [
  [{ kind: 'reset', after: 0 }, closed],
  [{ kind: 'reset', after: 20 }, closed],
  [{ kind: 'reset', after: 150_000 }, closed],
  [{ kind: 'close', after: 0 }, closed],
  [{ kind: 'close', after: 20 }, closed],
  [{ kind: 'close', after: 150_000 }, closed],
  [{ kind: 'hang', after: 0 }, late],
  [{ kind: 'hang', after: 20 }, late],
  [{ kind: 'hang', after: 150_000 }, /silent for 0.3 seconds within a response/],
  [{ kind: 'garbage' }, /what it sends is not HTTP: .*Expected HTTP/],
  [{ kind: 'wrong-length', by: 7 }, closed],
  [{ kind: 'truncated-chunks', after: 150_000 }, closed],
  [{ kind: 'answer', status: 500, body: 'a bug' }, /answered 500: a bug/],
]

for (const [fault, message] of faults) {
  t.test(`${JSON.stringify(fault)} is an error, and the next request is answered`, async (t) => {
    const proxy = await behindProxy(t, server)
    const { ask } = createUpstreamClient(t, proxy.url, { headMs: 300, silenceMs: 300 })
    for (const path of ['/length', '/chunked']) {
      for (const method of ['GET', 'POST']) {
        if (method === 'GET') proxy.closeIdle()
        proxy.fault(fault)
        const outcome = ask({ path, method, ...(method === 'POST' ? { body: streamed() } : {}) }).then(bodyOf)
        await t.rejects(outcome, { name: 'UpstreamUnavailable', message }, `${method} ${path}`)
        t.equal((await bodyOf(await ask({ path }))).length, length)
      }
    }
  })
}

t.test(
  'a response that is longer than its Content-Length ends there, and its connection is not used again',
  async (t) => {
    const proxy = await behindProxy(t, (_, response) => response.end('0123456789'))
    const { ask } = createUpstreamClient(t, proxy.url)
    proxy.fault({ kind: 'wrong-length', by: -4 })
    t.equal(String(await bodyOf(await ask())), '012345')
    for (let count = 0; count < 5; count++) t.equal(String(await bodyOf(await ask())), '0123456789')
    t.ok(proxy.connections.accepted <= 3)
  },
)

/** A server that sends bytes, and then does something with the connection. */
async function raw(t: Test, head: string, then: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.write(head, () => then(socket)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test(
  'a response that its connection ends is whole if that is closed, and broken if it is reset',
  async (t) => {
    const head = 'HTTP/1.1 200 OK\r\n\r\nsome of it'
    const whole = createUpstreamClient(t, await raw(t, head, (socket) => socket.end()))
    t.equal(String(await bodyOf(await whole.ask())), 'some of it')
    const broken = createUpstreamClient(
      t,
      await raw(t, head, (socket) => setTimeout(() => socket.resetAndDestroy(), 50)),
    )
    await t.rejects(broken.ask().then(bodyOf), { message: closed })
  },
)

t.test('chunks that end early with their connection are an error', async (t) => {
  for (const rest of ['Connection: close\r\n', '']) {
    const head = `HTTP/1.1 200 OK\r\n${rest}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`
    const { ask } = createUpstreamClient(t, await raw(t, head, (socket) => socket.end()))
    await t.rejects(ask().then(bodyOf), { name: 'UpstreamUnavailable' })
  }
  const length = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello'
  const { ask } = createUpstreamClient(t, await raw(t, length, (socket) => socket.end()))
  await t.rejects(ask().then(bodyOf), { message: /a response is shorter than its head or its chunks say/ })
})

t.test('a slow response is no failure', async (t) => {
  const proxy = await behindProxy(t, (_, response) => response.end(Buffer.alloc(2000)))
  const { ask } = createUpstreamClient(t, proxy.url, { silenceMs: 400 })
  proxy.fault({ kind: 'slow', bytesPerSecond: 2000 })
  t.equal((await bodyOf(await ask())).length, 2000)
})

t.test('pass-through may be silent for longer, before the head too', async (t) => {
  const proxy = await behindProxy(t, (_, response) => {
    setTimeout(() => response.write('a'), 1600)
    setTimeout(() => response.end('b'), 3200)
  })
  const { ask } = createUpstreamClient(t, proxy.url, { headMs: 50, silenceMs: 50, passSilenceMs: 10_000 })
  t.equal(String(await bodyOf(await ask({ class: 'pass' }))), 'ab')
  await t.rejects(ask(), { message: /no response within 0.05 seconds/ })
})

t.test('a short request is sent again, once, if its idle connection was reset', async (t) => {
  const proxy = await behindProxy(t, server)
  const { ask, events } = createUpstreamClient(t, proxy.url)
  const post = (body: Buffer | Readable) => ask({ method: 'POST', path: '/length', body }).then(bodyOf)
  const idle = async () => {
    events.length = 0
    await Promise.all([1, 2].map((group) => ask({ path: '/length', group: String(group) }).then(bodyOf)))
    // undici uses a connection again in a later turn of the event loop.
    await turns()
    proxy.requests.length = 0
  }
  for (const kind of ['reset', 'close'] as const) {
    await idle()
    proxy.fault({ kind, after: 0 })
    t.equal((await bodyOf(await ask({ path: '/length' }))).length, length)
    t.equal(proxy.requests.length, 2)
    t.match(events, [/^failed fill/, 'replayed fill'])
    await idle()
    proxy.fault({ kind, after: 0 })
    t.equal((await post(Buffer.alloc(64 * 1024))).length, length)
    t.equal(proxy.requests.length, 2)

    await idle()
    proxy.fault({ kind, after: 0 }, undefined, 2)
    await t.rejects(ask({ path: '/length' }), { name: 'UpstreamUnavailable' }, 'once only')
    t.equal(proxy.requests.length, 2)
    for (const body of [Buffer.alloc(64 * 1024 + 1), streamed()]) {
      await idle()
      proxy.fault({ kind, after: 0 })
      await t.rejects(post(body), { name: 'UpstreamUnavailable' }, 'not a long body, nor a stream')
      t.equal(proxy.requests.length, 1)
    }
    await idle()
    proxy.fault({ kind, after: 5 })
    await t.rejects(
      ask({ path: '/length' }),
      { name: 'UpstreamUnavailable' },
      'not after a byte of the response',
    )
    t.equal(proxy.requests.length, 1)
    proxy.closeIdle()
    await eventually('they are closed', () => proxy.connections.open === 0)
    proxy.requests.length = 0
    proxy.fault({ kind, after: 0 })
    await t.rejects(ask({ path: '/length' }), { name: 'UpstreamUnavailable' }, 'not on a new connection')
    t.equal(proxy.requests.length, 1)
  }
})

t.test('idle connections that the server has closed are not used', async (t) => {
  const proxy = await behindProxy(t, server)
  const { ask, events } = createUpstreamClient(t, proxy.url)
  for (const by of ['close', 'reset', 'close'] as const) {
    await Promise.all([1, 2, 3].map(() => ask({ path: '/length', class: 'pack' }).then(bodyOf)))
    proxy.closeIdle(by)
    await eventually('they are closed', () => proxy.connections.open === 0)
  }
  t.equal((await bodyOf(await ask({ path: '/length', method: 'POST', body: streamed() }))).length, length)
  t.same(events, [])
})

t.test('what an upstream refuses is told, with its own words and its wait', async (t) => {
  const proxy = await behindProxy(t, server)
  const refusal = async (fault: Partial<Fault>): Promise<UpstreamUnavailable> => {
    const { ask } = createUpstreamClient(t, proxy.url)
    proxy.fault({ kind: 'answer', status: 429, ...fault } as Fault)
    return await ask({ class: 'pack' }).then(
      () => Promise.reject(new Error('answered')),
      (error: unknown) => error as UpstreamUnavailable,
    )
  }
  const text = { 'Content-Type': 'text/plain; charset=utf-8' }
  const said = await refusal({
    headers: { ...text, 'Retry-After': '7' },
    body: '\n slow\u0007 down\r\nor else',
  })
  t.match(said, { name: 'UpstreamUnavailable', status: 429, retryAfterMs: 7000 })
  t.match(said.message, /^127.0.0.1:\d+: answered 429: slow down$/)
  const long = await refusal({ status: 503, headers: text, body: 'ä'.repeat(10_000) })
  t.match(long, { status: 503, retryAfterMs: undefined })
  t.match(long.message, /: answered 503: ä{200}$/)
  t.match(await refusal({ headers: { 'Content-Type': 'text/html' }, body: '<html>' }), {
    message: /: answered 429: Too Many Requests$/,
  })
  const date = new Date(Date.now() + 60_000).toUTCString()
  const { retryAfterMs = 0 } = await refusal({ status: 503, headers: { 'Retry-After': date } })
  t.ok(retryAfterMs > 50_000 && retryAfterMs <= 60_000)
})

t.test('pass-through gets every response as it is, and the breaker counts it', async (t) => {
  const proxy = await behindProxy(t, server)
  const { ask, events } = createUpstreamClient(t, proxy.url)
  for (const status of [500, 500, 500, 500, 500, 501, 401, 403, 404, 502, 503, 504, 429]) {
    proxy.fault({ kind: 'answer', status, body: 'its words' })
    const response = await ask({ class: 'pass' })
    t.equal(response.status, status)
    t.equal(String(await bodyOf(response)), 'its words')
  }
  t.same(events, [])
  proxy.fault({ kind: 'answer', status: 502 })
  t.equal((await ask({ class: 'pass' })).status, 502)
  t.same(events, ['opened'])
  const { length } = proxy.requests
  await t.rejects(ask({ class: 'pass' }), {
    name: 'UpstreamUnavailable',
    status: 502,
    message: /answered 502; it is asked again in 1 seconds$/,
  })
  t.equal(proxy.requests.length, length, 'it is not asked')
})

t.test('a breaker opens at once for Retry-After, and one probe closes it', async (t) => {
  const proxy = await behindProxy(t, server)
  const clock = new FakeClock()
  const { ask, events } = createUpstreamClient(t, proxy.url, { clock, random: () => 0 })
  proxy.fault({ kind: 'answer', status: 429, headers: { 'Retry-After': '9' } })
  await t.rejects(ask(), unavailable({ retryAfterMs: 9000 }))
  t.same(events, ['opened'])
  clock.advance(8999)
  await t.rejects(ask(), unavailable({ status: 429, retryAfterMs: 1 }))
  clock.advance(1)
  proxy.fault({ kind: 'hang', after: 0 })
  const aborted = new AbortController()
  const probe = ask({ signal: aborted.signal })
  await eventually('the probe is sent', () => proxy.requests.length === 2)
  await t.rejects(ask(), unavailable({ status: 429 }), 'one probe only')
  aborted.abort(new Error('gone'))
  await t.rejects(probe, { message: 'gone' })
  t.equal((await ask()).status, 200, 'a probe that tells nothing is followed by another')
  t.same(events, ['opened', 'closed'])
})
