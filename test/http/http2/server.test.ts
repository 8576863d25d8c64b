import t from 'tap'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { Socket } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import type { PassThroughRequest } from '../../../src/origin/pass-through.js'
import { StallDetector } from '../../../src/limits/connection/stall-detector.js'
import { counted } from '../../support/counted.js'
import { eventually } from '../../support/eventually.js'
import { FakeClock } from '../../support/fake-clock.js'
import { answerOf, ask2, openHttp2 } from '../../support/http2-server.js'
import { turns } from '../../support/producers.js'

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants
const path = '/r.git/HEAD'
const never = new Promise<never>(() => {})

/** A body of these bytes that another chunk may follow. */
const beginning = (bytes: Buffer | string): PassThrough => {
  const body = new PassThrough()
  body.write(bytes)
  return body
}

t.test('a request passes through with its headers and body, and gets an answer', async (t) => {
  let asked: PassThroughRequest | undefined
  const { open } = await openHttp2(t, async (request) => {
    asked = request
    const chunks = await request.body.rest.toArray()
    const body = Buffer.concat([request.body.beginning, ...(chunks as Buffer[])])
    return {
      headers: [
        'Content-Type',
        'a/b',
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'Connection',
        'close',
        'X-A',
        'é',
      ],
      body: Readable.from([body]),
    }
  })
  const sent = Buffer.alloc(300_000, 'x')
  const answer = await ask2(
    open(),
    {
      ':method': 'POST',
      ':path': '/r.git/git-receive-pack',
      ':authority': 'git.example:8443',
      host: 'other.example',
      'content-type': 'application/x-git-receive-pack-request',
      cookie: ['a=1', 'b=2'],
      'x-b': ['1', '2'],
    },
    sent,
  )
  t.same([answer.status, answer.code], [200, NGHTTP2_NO_ERROR])
  t.ok(answer.body.equals(sent))
  t.match(answer.headers, { 'content-type': 'a/b', 'set-cookie': ['a=1', 'b=2'], 'x-a': 'é' })
  t.notOk('connection' in answer.headers)
  t.ok('date' in answer.headers)
  t.same(asked?.uri, '/r.git/git-receive-pack')
  t.same(asked?.contentLength, undefined)
  const headers = asked?.headers ?? []
  t.same(headers.slice(0, 2), ['host', 'git.example:8443'])
  t.equal(headers.filter((name) => name === 'host').length, 1)
  t.same(headers.slice(-2), ['cookie', 'a=1; b=2'])
  t.same(
    headers.filter((_, index) => headers[index - 1] === 'x-b'),
    ['1', '2'],
  )
})

t.test('HEAD, and answers without a body, end with their head', async (t) => {
  const statuses: Record<string, number> = { '/a.git/HEAD': 200, '/b.git/HEAD': 304, '/c.git/HEAD': 204 }
  const { open } = await openHttp2(t, ({ uri }) => ({
    status: statuses[uri]!,
    headers: ['Content-Length', '5'],
    body: Readable.from([Buffer.from('12345')]),
  }))
  const client = open()
  const head = await ask2(client, { ':method': 'HEAD', ':path': '/a.git/HEAD' })
  t.same([head.status, head.headers['content-length'], head.body.length], [200, '5', 0])
  for (const path of ['/b.git/HEAD', '/c.git/HEAD']) {
    const { status, body, code } = await ask2(client, { ':path': path })
    t.same([status, body.length, code], [statuses[path], 0, NGHTTP2_NO_ERROR])
  }
  t.equal((await ask2(client, { ':path': '/a.git/HEAD' })).body.toString(), '12345')
})

t.test('an answer that breaks is reset after what was sent of it, and other streams go on', async (t) => {
  const broken = new PassThrough()
  const whole = new PassThrough()
  const { open } = await openHttp2(t, ({ uri }) => ({
    body: uri.startsWith('/broken') ? broken : whole,
    whole: async () => !uri.startsWith('/broken'),
  }))
  const client = open()
  const first = ask2(client, { ':path': '/broken.git/HEAD' })
  const second = ask2(client, { ':path': '/whole.git/HEAD' })
  broken.end(Buffer.alloc(200_000))
  const { body, code, status } = await first
  t.same([status, body.length, code], [200, 200_000, NGHTTP2_INTERNAL_ERROR])
  whole.end('12345')
  t.match(await second, { status: 200, body: Buffer.from('12345'), code: NGHTTP2_NO_ERROR })
})

t.test('an answer whose source fails is reset', async (t) => {
  const body = beginning('abc')
  const { open } = await openHttp2(t, () => ({ body }))
  const stream = open().request({ ':path': path })
  const answer = answerOf(stream)
  await once(stream, 'data')
  body.destroy(new Error('broken'))
  t.match(await answer, { body: Buffer.from('abc'), code: NGHTTP2_INTERNAL_ERROR })
})

t.test('a client that cancels its request aborts it', async (t) => {
  let signal: AbortSignal | undefined
  const body = beginning('abc')
  const { open, metrics } = await openHttp2(t, (_request, admission) => {
    signal = admission.signal
    return { body }
  })
  for (const code of [NGHTTP2_CANCEL, NGHTTP2_NO_ERROR]) {
    signal = undefined
    const stream = open().request({ ':path': path })
    await once(stream, 'response')
    stream.close(code)
    await eventually('it is aborted', () => signal?.aborted === true)
    body.write('more')
  }
  body.end()
  await eventually('it is counted', async () =>
    (await metrics.requests.get()).values.some(
      ({ labels, value }) => labels.outcome === 'aborted' && value === 2,
    ),
  )
})

t.test('a push that has come whole is carried out after its client has left, and no other', async (t) => {
  const bodies: Promise<number>[] = []
  const signals: AbortSignal[] = []
  const { open } = await openHttp2(t, (request, { signal }) => {
    signals.push(signal)
    const { beginning, rest } = request.body
    let bytes = beginning.length
    rest.on('data', (chunk: Buffer) => (bytes += chunk.length))
    bodies.push(new Promise((resolve) => rest.on('close', () => resolve(bytes))))
    return { body: new PassThrough() }
  })
  const head = { ':method': 'POST', ':path': '/r.git/git-receive-pack' }
  const whole = open().request(head, { endStream: false })
  whole.end(Buffer.alloc(100_000, 'x'))
  await eventually('it has begun', () => bodies.length === 1)
  t.equal(await bodies[0], 100_000)
  whole.close(NGHTTP2_CANCEL)
  const part = open().request(head, { endStream: false })
  part.write(Buffer.alloc(100_000, 'x'))
  await eventually('the other has begun', () => bodies.length === 2)
  // close() would send the end of the request first.
  part.on('error', () => {}).destroy(new Error('gone'))
  await eventually('it is aborted', () => signals[1]?.aborted === true)
  t.equal(signals[0]?.aborted, false)
})

t.test('an answer that comes before the end of its request ends the stream without an error', async (t) => {
  const { open } = await openHttp2(t, () => ({ status: 401, body: Readable.from([Buffer.from('no')]) }))
  const client = open()
  const stream = client.request(
    { ':method': 'POST', ':path': '/r.git/git-receive-pack' },
    { endStream: false },
  )
  // More than is read before it passes through.
  stream.write(Buffer.alloc(100_000))
  const { status, body, code } = await answerOf(stream)
  t.same([status, body.toString(), code], [401, 'no', NGHTTP2_NO_ERROR])
  t.equal((await ask2(client, { ':path': path })).status, 401, 'the connection goes on')
})

t.test('100 (Continue) is sent when the request is admitted', async (t) => {
  const { open } = await openHttp2(t, async ({ body }) => ({
    body: Readable.from([body.beginning, ...((await body.rest.toArray()) as Buffer[])]),
  }))
  const head = { ':method': 'POST', ':path': '/r.git/git-receive-pack', expect: '100-continue' }
  const stream = open().request(head, { endStream: false })
  const answer = answerOf(stream)
  await once(stream, 'continue')
  stream.end('abc')
  t.match(await answer, { status: 200, body: Buffer.from('abc') })
})

t.test('a stream whose client takes nothing is cut alone', async (t) => {
  const clock = new FakeClock()
  const responseStalls = new StallDetector({ idleMs: 1000, minRate: 0, windowMs: 1000, clock })
  const { open, metrics } = await openHttp2(
    t,
    ({ uri }) => ({ body: Readable.from([Buffer.alloc(uri.startsWith('/big') ? 500_000 : 5)]) }),
    { responseStalls },
  )
  const client = open()
  const stalled = client.request({ ':path': '/big.git/HEAD' })
  stalled.on('error', () => {})
  const closed = new Promise((resolve) => stalled.once('close', resolve))
  await once(stalled, 'response')
  stalled.pause()
  const other = await ask2(client, { ':path': '/big.other.git/HEAD' })
  t.equal(other.body.length, 500_000, 'another stream is not held up')
  await eventually('it is cut', () => {
    clock.advance(250)
    return stalled.closed
  })
  stalled.resume()
  await closed
  t.equal(stalled.rstCode, NGHTTP2_INTERNAL_ERROR)
  t.same(
    (await counted(metrics.clientsCut)).map(({ labels }) => labels.reason),
    ['idle'],
  )
  t.equal((await ask2(client, { ':path': path })).status, 200, 'the connection goes on')
})

t.test('a stream whose client sends nothing of its body is cut alone', async (t) => {
  const clock = new FakeClock()
  const requestStalls = new StallDetector({ idleMs: 1000, minRate: 0, windowMs: 1000, clock })
  const { open } = await openHttp2(t, () => ({}), { requestStalls })
  const client = open()
  const stream = client.request(
    { ':method': 'POST', ':path': '/r.git/git-receive-pack' },
    { endStream: false },
  )
  const answer = answerOf(stream)
  await eventually('it is watched', () => clock.timers === 1)
  await eventually('it is cut', () => {
    clock.advance(250)
    return stream.closed
  })
  t.equal((await answer).code, NGHTTP2_INTERNAL_ERROR)
  t.equal((await ask2(client, { ':path': path })).status, 200)
})

t.test('heads that are too long, unknown methods and CONNECT are refused', async (t) => {
  const { open } = await openHttp2(t, () => ({}), { maxHeaderBytes: 10_000 })
  const client = open()
  await once(client, 'remoteSettings')
  t.equal((await ask2(client, { ':path': path, 'x-a': 'x'.repeat(11_000) })).status, 431)
  const longer = await ask2(client, { ':path': path, 'x-a': 'x'.repeat(30_000) })
  t.same([longer.status, longer.code], [undefined, NGHTTP2_ENHANCE_YOUR_CALM])
  t.equal((await ask2(client, { ':path': path, ':method': 'get' })).status, 400)
  t.equal((await ask2(client, { ':method': 'CONNECT', ':authority': 'a:1' })).status, 400)
  t.equal((await ask2(client, { ':path': path })).status, 200)
})

t.test('many headers are taken as long as they are short', async (t) => {
  const { open } = await openHttp2(t, ({ headers }) => ({ headers: ['X-Count', String(headers.length / 2)] }))
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`x-${index}`, '1']))
  t.equal((await ask2(open(), { ':path': path, ...many })).headers['x-count'], '301')
})

t.test('a client that cancels many requests before they are answered is disconnected', async (t) => {
  const { open, metrics } = await openHttp2(t, () => never)
  const client = open()
  let code: number | undefined
  client.on('goaway', (given: number) => (code = given))
  const closed = new Promise((resolve) => client.once('close', resolve))
  await once(client, 'remoteSettings')
  for (let count = 0; count < 20 && !client.destroyed; count++) {
    const streams = Array.from({ length: 20 }, () => client.request({ ':path': path }).on('error', () => {}))
    await turns(5)
    for (const stream of streams) stream.close(NGHTTP2_CANCEL)
    await turns(5)
  }
  await closed
  t.equal(code, NGHTTP2_ENHANCE_YOUR_CALM)
  t.ok((await counted(metrics.clientsCut)).some(({ labels }) => labels.reason === 'cancelling'))
})

t.test('a client may cancel as many requests as it has had answered', async (t) => {
  const { open } = await openHttp2(t, ({ uri }) => (uri.startsWith('/never') ? never : {}))
  const client = open()
  for (let count = 0; count < 120; count++) {
    t.equal((await ask2(client, { ':path': path })).status, 200)
    const stream = client.request({ ':path': '/never.git/HEAD' })
    stream.close(NGHTTP2_CANCEL)
    await answerOf(stream)
  }
  t.equal(client.destroyed, false)
})

t.test('no more than 100 requests of one connection are begun at once', async (t) => {
  let begun = 0
  const { open } = await openHttp2(t, () => {
    begun++
    return never
  })
  const client = open()
  await once(client, 'remoteSettings')
  t.equal(client.remoteSettings.maxConcurrentStreams, 100)
  for (let count = 0; count < 110; count++) client.request({ ':path': path }).on('error', () => {})
  await eventually('a hundred have begun', () => begun === 100)
  await turns(20)
  t.equal(begun, 100)
})

t.test('at the end, requests under way are answered, and idle connections close', async (t) => {
  const body = beginning('abc')
  const { http2, open, sockets } = await openHttp2(t, () => ({ body }))
  const idle = open()
  await once(idle, 'remoteSettings')
  const busy = open()
  const stream = busy.request({ ':path': path })
  const answer = answerOf(stream)
  await once(stream, 'response')
  const gone = once(busy, 'goaway')
  http2.endConnections()
  await once(idle, 'close')
  await gone
  body.end('def')
  t.match(await answer, { body: Buffer.from('abcdef'), code: NGHTTP2_NO_ERROR })
  await eventually('all connections are closed', () => sockets.every(({ destroyed }) => destroyed))
})

t.test('a connection without a request is closed', async (t) => {
  const { openSocket, sockets } = await openHttp2(t, () => ({}), { requestIdleMs: 50 })
  const silent = openSocket()
  silent.resume()
  await once(silent, 'close')
  await eventually('it is closed', () => sockets[0]?.destroyed === true)
})

t.test('what is not HTTP/2 ends the connection', async (t) => {
  const { openSocket } = await openHttp2(t, () => ({}))
  const socket = openSocket()
  socket.resume()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'close')
  t.pass('it has ended')
})

t.test('a connection that has closed already is not taken', async (t) => {
  const { http2 } = await openHttp2(t, () => ({}))
  const socket = new Socket()
  socket.destroy()
  t.doesNotThrow(() => http2.accept(socket))
})
