// How connections come about: names, TLS, HTTP/2, proxies.
import t, { type Test } from 'tap'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request as requestHttp } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createTlsServer } from 'node:https'
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Resolve } from '../../../../src/origin/upstream/client/address-rules.js'
import { Authority } from '../../../support/certificates.js'
import { bodyOf, createUpstreamClient, serve } from '../../../support/upstream-client.js'

type Peer = Pick<TLSSocket, 'authorized' | 'getPeerCertificate'>

async function portOf(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const resolving =
  (...addresses: string[]): Resolve =>
  (_host, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )

t.test('a name is connected to at the address that was checked', async (t) => {
  let requests = 0
  const url = await serve(t, (_, response) => {
    requests++
    response.end('done')
  })
  const named = url.replace('127.0.0.1', 'git.test')
  const denied = createUpstreamClient(t, named, {
    deny: ['loopback'],
    resolve: resolving('127.0.0.1', '::1'),
  })
  await t.rejects(denied.ask(), {
    name: 'UpstreamUnavailable',
    message:
      /^git.test:\d+: git.test resolves to 127.0.0.1, to which connections are denied \(upstream-deny\)$/,
  })
  t.equal(requests, 0)
  const allowed = createUpstreamClient(t, named, {
    deny: ['private'],
    resolve: resolving('10.0.0.1', '127.0.0.1'),
  })
  t.equal(String(await bodyOf(await allowed.ask())), 'done')
})

t.test('what cannot be connected to is unavailable: refused, unknown, not in time', async (t) => {
  const gone = createTcpServer()
  gone.listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port } = gone.address() as AddressInfo
  gone.close()
  const refused = createUpstreamClient(t, `http://127.0.0.1:${port}`)
  for (let count = 0; count < 5; count++)
    await t.rejects(refused.ask(), { message: `127.0.0.1:${port}: cannot connect: ECONNREFUSED` })
  t.equal(refused.events.at(-1), 'opened')
  const unknown = createUpstreamClient(t, 'http://git.test', {
    resolve: (_host, _options, callback) =>
      callback(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }), []),
  })
  await t.rejects(unknown.ask(), { message: 'git.test:80: cannot connect: ENOTFOUND' })
  const silent = await portOf(t, createTcpServer())
  const late = createUpstreamClient(t, `https://127.0.0.1:${silent}`, { connectMs: 50 })
  await t.rejects(late.ask(), { message: `127.0.0.1:${silent}: cannot connect: not within 0.05 seconds` })
})

t.test('TLS: own authority, client certificate, and names that must fit', async (t) => {
  const authority = new Authority(t)
  const files = authority.issue({ san: 'DNS:git.test' })
  const [ca, key, cert] = [authority.cert, files.key, files.cert].map((path) => readFileSync(path, 'utf8'))
  const server = createTlsServer({
    ca: ca!,
    key: key!,
    cert: cert!,
    requestCert: true,
    rejectUnauthorized: false,
  })
  server.on('request', (request, response) => {
    const { authorized, getPeerCertificate } = request.socket as unknown as Peer
    response.end(authorized ? getPeerCertificate.call(request.socket).subject.CN : 'nobody')
  })
  const port = await portOf(t, server)
  const resolve = resolving('127.0.0.1')
  const ask = async (host: string, options: object) =>
    String(
      await bodyOf(await createUpstreamClient(t, `https://${host}:${port}`, { resolve, ...options }).ask()),
    )
  t.equal(await ask('git.test', { ca }), 'nobody')
  const client = authority.issue({ name: 'refstream' })
  const own = { cert: readFileSync(client.cert, 'utf8'), key: readFileSync(client.key, 'utf8') }
  t.equal(await ask('git.test', { ca, ...own }), 'refstream')
  await t.rejects(ask('git.test', {}), {
    name: 'UpstreamUnavailable',
    message: /cannot connect: (?:SELF_SIGNED|UNABLE)/,
  })
  await t.rejects(ask('other.test', { ca }), { message: /cannot connect: ERR_TLS_CERT_ALTNAME_INVALID/ })
})

t.test('HTTP/2 is used if it is switched on', async (t) => {
  const authority = new Authority(t)
  const files = authority.issue({ san: 'DNS:git.test' })
  const [key, cert] = [files.key, files.cert].map((path) => readFileSync(path, 'utf8'))
  const server = createSecureServer({ key: key!, cert: cert!, allowHTTP1: true })
  server.on('request', (request, response) => {
    response.writeHead(200, { 'x-version': request.httpVersion })
    if (request.url.endsWith('/cut')) {
      response.write('some of it', () => response.stream.destroy(new Error('cut')))
      return
    }
    request.pipe(response)
  })
  const port = await portOf(t, server)
  for (const [http2, version] of [
    [true, '2.0'],
    [false, '1.1'],
  ] as const) {
    const { ask } = createUpstreamClient(t, `https://git.test:${port}`, {
      ...{ http2, resolve: resolving('127.0.0.1'), ca: readFileSync(authority.cert, 'utf8') },
    })
    const post = { method: 'POST', path: '/x', body: Buffer.alloc(100_000), class: 'pack' as const }
    const all = Array.from({ length: 8 }, async () => {
      const response = await ask(post)
      return [...response.values('x-version'), (await bodyOf(response)).length]
    })
    for (const each of all) t.same(await each, [version, 100_000])
    if (http2) await t.rejects(ask({ path: '/cut' }).then(bodyOf), { name: 'UpstreamUnavailable' })
    t.equal((await ask({ path: '/y' })).status, 200)
  }
})

/** A proxy for plain requests and for tunnels, which counts both. */
async function startProxy(t: Test) {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`)
    const { port, pathname, search } = new URL(request.url!)
    const { method, headers } = request
    requestHttp(
      { port, method, path: pathname + search, headers: { ...headers, connection: 'close' } },
      (answer) => {
        response.writeHead(answer.statusCode!, answer.rawHeaders)
        answer.pipe(response)
      },
    ).end()
  })
  server.on('connect', (request, socket: Socket) => {
    seen.push(`CONNECT ${request.url} ${request.headers['proxy-authorization'] ?? ''}`)
    if (request.url!.startsWith('closed.test')) return void socket.end()
    if (request.url!.startsWith('hangs.test')) return
    if (request.url!.startsWith('refused.test')) return void socket.end('HTTP/1.1 403 No\r\n\r\n')
    const target = connect(Number(request.url!.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(target).pipe(socket)
    })
    target.on('error', () => socket.destroy())
    socket.on('error', () => target.destroy())
  })
  return { seen, url: `http://127.0.0.1:${await portOf(t, server)}` }
}

t.test('proxies of the environment are used for their scheme, unless NO_PROXY names the host', async (t) => {
  const authority = new Authority(t)
  const files = authority.issue({ san: 'DNS:git.test' })
  const ca = readFileSync(authority.cert, 'utf8')
  const tls = createTlsServer(
    { key: readFileSync(files.key), cert: readFileSync(files.cert) },
    (_, response) => response.end('secure'),
  )
  const securePort = await portOf(t, tls)
  const plain = (await serve(t, (_, response) => response.end('plain'))).replace('127.0.0.1', 'git.test')
  const secure = `https://git.test:${securePort}`
  const proxy = await startProxy(t)
  const ask = async (url: string, environment: Record<string, string>) => {
    proxy.seen.length = 0
    const { ask } = createUpstreamClient(t, url, { ca, environment, resolve: resolving('127.0.0.1') })
    const bodies = [await ask(), await ask()].map(bodyOf)
    return [...new Set([...(await Promise.all(bodies)).map(String), ...proxy.seen])]
  }
  const path = '/repo/info/refs?service=git-upload-pack'
  const withUser = proxy.url.replace('http://', 'http://me:pw@')
  const basic = `Basic ${Buffer.from('me:pw').toString('base64')}`
  t.same(await ask(plain, { HTTP_PROXY: proxy.url }), ['plain', `GET ${plain}${path} `])
  t.same(await ask(plain, { http_proxy: withUser }), ['plain', `GET ${plain}${path} ${basic}`])
  t.same(await ask(secure, { HTTPS_PROXY: proxy.url }), ['secure', `CONNECT git.test:${securePort} `])
  t.same(await ask(secure, { https_proxy: withUser }), ['secure', `CONNECT git.test:${securePort} ${basic}`])
  t.same(await ask(secure, { HTTP_PROXY: proxy.url }), ['secure'])
  t.same(await ask(plain, { HTTPS_PROXY: proxy.url }), ['plain'])
  t.same(await ask(plain, {}), ['plain'])
  for (const NO_PROXY of ['git.test', '.test', 'other, git.test', '*'])
    t.same(await ask(plain, { HTTP_PROXY: proxy.url, NO_PROXY }), ['plain'], NO_PROXY)
  t.same(await ask(secure, { HTTPS_PROXY: proxy.url, no_proxy: 'git.test' }), ['secure'])
})

t.test('a proxy that makes no tunnel is a failed connection, tried once', async (t) => {
  const proxy = await startProxy(t)
  for (const [host, message] of [
    ['closed.test', /cannot connect: other side closed/],
    ['refused.test', /cannot connect: Proxy response \(403\) !== 200 when HTTP Tunneling/],
    ['hangs.test', /cannot connect: not within 0.2 seconds/],
  ] as const) {
    proxy.seen.length = 0
    const { ask } = createUpstreamClient(t, `https://${host}`, {
      ...{ environment: { HTTPS_PROXY: proxy.url }, connectMs: 200 },
    })
    await t.rejects(ask(), { name: 'UpstreamUnavailable', message })
    t.equal(proxy.seen.length, 1)
  }
})

t.test('a proxy that demands a password is told', async (t) => {
  const environment = {
    http_proxy: await serve(t, (_, response) =>
      response.writeHead(407).end('a long explanation'.repeat(9999)),
    ),
  }
  const { ask, events } = createUpstreamClient(t, 'http://git.test', { environment })
  for (let count = 0; count < 5; count++)
    await t.rejects(ask(), { message: 'git.test:80: the proxy demands a user name and a password (407)' })
  t.equal(events.at(-1), 'opened')
})
