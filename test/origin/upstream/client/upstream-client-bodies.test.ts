// Bodies of requests and responses: streams with back-pressure, and what happens when one side ends early.
import t from 'tap'
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { gunzipSync, gzipSync } from 'node:zlib'
import { eventually } from '../../../support/eventually.js'
import { bytesOf, turns } from '../../../support/producers.js'
import { behindProxy, bodyOf, createUpstreamClient, serve } from '../../../support/upstream-client.js'

const push = { method: 'POST', path: '/repo/git-receive-pack', class: 'pass' as const }

t.test('a long body is streamed both ways, with or without its length', async (t) => {
  const url = await serve(t, (request, response) => {
    response.writeHead(200, {
      'X-Length': request.headers['content-length'] ?? request.headers['transfer-encoding'] ?? '',
    })
    request.pipe(response)
  })
  const { ask } = createUpstreamClient(t, url)
  const length = 20_000_000
  const chunks = () => Array.from({ length: 20 }, (_, index) => bytesOf(1, index * 1_000_000, 1_000_000))
  const expected = createHash('sha256')
    .update(bytesOf(1, 0, length))
    .digest('hex')
  for (const [headers, seen] of [
    [{ 'Content-Length': String(length) }, String(length)],
    [{}, 'chunked'],
    [{ 'transfer-encoding': 'chunked' }, 'chunked'],
  ] as const) {
    const response = await ask({ ...push, headers, body: Readable.from(chunks()) })
    t.same(response.values('x-length'), [seen])
    const hash = createHash('sha256')
    for await (const chunk of response.body) hash.update(chunk as Buffer)
    t.equal(hash.digest('hex'), expected)
  }
  const buffer = await ask({ ...push, headers: { 'content-length': '999' }, body: Buffer.from('short') })
  t.same(buffer.values('x-length'), ['5'], 'the true length of a buffer is sent')
  t.equal(String(await bodyOf(buffer)), 'short')
})

t.test(
  'a body is read no faster than the upstream takes it, nor a response faster than the caller',
  async (t) => {
    let sent = 0
    const url = await serve(t, (request, response) => {
      if (request.method === 'POST') return response.flushHeaders()
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536))) sent += 65_536
        sent += 65_536
      }
      response.on('drain', more)
      more()
    })
    const { ask } = createUpstreamClient(t, url)
    let made = 0
    const endless = new Readable({
      read() {
        made += 65_536
        this.push(Buffer.alloc(65_536))
      },
    })
    const { body } = await ask({ ...push, body: endless })
    const response = await ask()
    const settled = async (value: () => number): Promise<number> => {
      for (let before = -1; before !== value(); await new Promise((resolve) => setTimeout(resolve, 200)))
        before = value()
      return value()
    }
    t.ok((await settled(() => made)) < 30_000_000)
    t.ok((await settled(() => sent)) < 30_000_000)
    response.body.destroy()
    body.destroy()
    endless.destroy()
  },
)

t.test(
  'an answer that comes before the end of the request body is delivered, and the rest is dropped',
  async (t) => {
    const url = await serve(t, (request, response) => {
      request.once('data', () => {
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end('who are you?')
        request.resume()
      })
    })
    const { ask } = createUpstreamClient(t, url, { connections: 3 })
    for (let count = 0; count < 5; count++) {
      const body = new PassThrough()
      body.write(Buffer.alloc(1000))
      const response = await ask({ ...push, body })
      t.equal(response.status, 401)
      t.equal(String(await bodyOf(response)), 'who are you?')
      for (let chunk = 0; chunk < 100; chunk++)
        if (!body.write(Buffer.alloc(65_536))) await once(body, 'drain')
      body.end()
      await once(body, 'close')
    }
  },
)

t.test('the connection of a client outlives an early answer to its request', async (t) => {
  const url = await serve(t, (request, response) => {
    request.once('data', () => response.writeHead(401).end('no'))
  })
  const { ask } = createUpstreamClient(t, url)
  const front = createServer((request, response) => {
    void ask({ ...push, body: request }).then(async (answer) => {
      response.writeHead(answer.status)
      response.end(await bodyOf(answer))
    })
  })
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  t.teardown(() => front.close())
  const { port } = front.address() as AddressInfo
  // Not Node's client, which may wait for ever after an early answer.
  const client = connect(port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const length = 200 * 65_536
  const post = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`
  const sent = new Promise((resolve) =>
    client.write(Buffer.concat([Buffer.from(post), Buffer.alloc(length)]), resolve),
  )
  let received = ''
  client.on('data', (chunk: Buffer) => (received += String(chunk)))
  await sent
  await eventually('the answer is whole', () => received.endsWith('\r\n\r\n2\r\nno\r\n0\r\n\r\n'))
  t.match(received, /^HTTP\/1.1 401 /)
})

t.test('a request body that breaks off is the error, and tells nothing about the upstream', async (t) => {
  const proxy = await behindProxy(t, (request, response) => {
    request.on('error', () => {})
    request.resume()
    request.on('end', () => response.end('done'))
  })
  const { ask, events } = createUpstreamClient(t, proxy.url)
  for (let count = 0; count < 8; count++) {
    const body = new PassThrough()
    body.write('a')
    const response = ask({ ...push, body })
    await eventually('it is sent', () => proxy.requests.length === count + 1)
    if (count % 2 === 0) body.destroy(new Error('the client has gone'))
    else body.destroy()
    await t.rejects(response, {
      message: count % 2 === 0 ? 'the client has gone' : 'the request body was not sent to its end',
    })
  }
  const gone = new PassThrough()
  gone.destroy(new Error('gone before'))
  await t.rejects(ask({ ...push, body: gone }))
  await t.rejects(
    ask({ ...push, headers: { 'content-length': '9' }, body: Readable.from([Buffer.from('short')]) }),
  )
  t.same(events, [])
  t.equal((await ask()).status, 200)
})

t.test('a client that has gone frees its connection at once, at any time', async (t) => {
  const proxy = await behindProxy(t, (request, response) => {
    request.resume()
    if (request.url === '/body') response.write('some')
    else if (request.url === '/ok') response.end('ok')
  })
  const { ask, events } = createUpstreamClient(t, proxy.url, {
    connections: 3,
    queue: { queueMax: 0, waitMs: 1 },
  })
  for (const [path, body] of [
    ['/head', undefined],
    ['/body', undefined],
    ['/head', new PassThrough()],
  ] as const) {
    const gone = new AbortController()
    body?.write('a')
    const before = proxy.requests.length
    const request = ask({
      path,
      class: 'pass',
      method: 'POST',
      signal: gone.signal,
      ...(body ? { body } : {}),
    })
    await eventually('it is sent', () => proxy.requests.length === before + 1)
    const response = path === '/body' ? await request : undefined
    gone.abort(new Error('gone'))
    if (response) await t.rejects(bodyOf(response), { message: 'gone' })
    else await t.rejects(request, { message: 'gone' })
    t.equal(String(await bodyOf(await ask({ path: '/ok', class: 'pass' }))), 'ok', 'its permit is free')
    await eventually('its connection is closed', () => proxy.running.now === 0)
  }
  const aborted = AbortSignal.abort(new Error('gone before'))
  await t.rejects(ask({ signal: aborted }), { message: 'gone before' })
  t.same(events, [])
})

t.test('a compressed body comes as it is, with its encoding', async (t) => {
  const url = await serve(t, (request, response) => {
    response.writeHead(200, { 'Content-Encoding': String(request.headers['accept-encoding']) })
    response.end(gzipSync('refs'))
  })
  const { ask } = createUpstreamClient(t, url)
  const response = await ask({ headers: { 'accept-encoding': 'gzip' } })
  t.same(response.values('content-encoding'), ['gzip'])
  t.equal(String(gunzipSync(await bodyOf(response))), 'refs')
})

t.test('close ends what is in progress, and later requests', async (t) => {
  const url = await serve(t, (_, response) => response.write('some'))
  const { ask, client } = createUpstreamClient(t, url)
  const response = await ask()
  await client.close()
  await t.rejects(bodyOf(response))
  await t.rejects(ask(), { name: 'UpstreamUnavailable', message: /this process is stopping/ })
  await turns()
})
