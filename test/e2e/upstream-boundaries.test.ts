import t from 'tap'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { raw } from '../support/http-client.js'
import { askFor } from '../support/permission-client.js'
import { PermissionServer } from '../support/permission-server.js'
import { startSidecar } from '../support/sidecar.js'

const openServer = (t: Test): Promise<PermissionServer> =>
  new PermissionServer({ users: {}, repositories: { a: { readers: ['anyone'], content: 'a' } } }).start(t)

/** Opens a server to which nothing may ever come. */
async function openCanary(t: Test): Promise<{ host: string; contacts: string[] }> {
  const contacts: string[] = []
  const canary: Server = createServer((request, response) => {
    contacts.push(request.url ?? '')
    response.end()
  })
  canary.on('connection', () => contacts.push('a connection'))
  canary.listen(0, '127.0.0.1')
  await once(canary, 'listening')
  t.teardown(() => canary.close())
  return { host: `127.0.0.1:${(canary.address() as AddressInfo).port}`, contacts }
}

/** Sends one request on a raw connection, which is closed after the answer. */
const send = (url: string, line: string, headers: readonly string[] = [], body = ''): Promise<string> =>
  raw(url, [`${line} HTTP/1.1`, 'Connection: close', ...headers, '', body].join('\r\n'))

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

t.test('no target and no header leads refstream to another host', async (t) => {
  const server = await openServer(t)
  const { host, contacts } = await openCanary(t)
  const { url } = await startSidecar(t, undefined, { args: ['--upstream', server.url] })
  const own = new URL(server.url).host
  const refs = 'info/refs?service=git-upload-pack'
  const targets = [
    ...[`http://${host}/a/${refs}`, `https://${host}/a/${refs}`, `//${host}/a/${refs}`, `http://${host}`],
    ...[
      `http://${host}@${own}/a/x`,
      `/http://${host}/${refs}`,
      `/a/..;/@${host}/${refs}`,
      `/@${host}/${refs}`,
    ],
    ...[
      `/\\\\${host}/${refs}`,
      `/%2f%2f${host}/${refs}`,
      `ftp://${host}/a`,
      `///${host}/x`,
      `/.${host}/${refs}`,
    ],
    ...[`/a/${refs}#@${host}/`, `:80@${host}/a`, `/a?u=http://${host}/`, `/%5c%5c${host}/x`, `?@${host}`],
  ]
  for (const target of targets)
    for (const method of ['GET', 'POST', 'OPTIONS', 'PROPFIND'])
      await send(url, `${method} ${target}`, [`Host: ${host}`, 'Content-Length: 0'])
  const headers = [
    ...[
      `Host: ${host}`,
      `X-Forwarded-Host: ${host}`,
      `Forwarded: host=${host}`,
      `X-Original-URL: http://${host}/`,
    ],
    ...[
      `X-Forwarded-Server: ${host}`,
      `Referer: http://${host}/`,
      `Origin: http://${host}`,
      `Location: //${host}/`,
    ],
    ...[`Proxy: http://${host}/`, `HTTP_PROXY: http://${host}/`, `Destination: http://${host}/`],
  ]
  for (const header of headers) {
    const sent = header.startsWith('Host') ? [header] : ['Host: x', header]
    t.equal(statusOf(await send(url, `GET /a/${refs}`, sent)), 200, header)
    await send(url, 'POST /a/git-receive-pack', [...sent, 'Content-Length: 0'])
  }
  for (const line of [`CONNECT ${host}`, `CONNECT ${own}`])
    t.not(statusOf(await send(url, line, [`Host: ${host}`])), 200)
  t.same(contacts, [], 'nothing has come to the other host')
  t.ok(server.requests.length > 0)
  t.ok(server.requests.every(({ headers }) => headers.host === own))
  t.ok(server.requests.every(({ url }) => /^\/[^/]/.test(url) || url === '/'))
})

t.test('redirects lead to the configured host only', async (t) => {
  const { host, contacts } = await openCanary(t)
  let location = ''
  const upstream = createServer((request, response) => {
    request.resume()
    response.writeHead(302, { Location: location }).end()
  })
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => {
    upstream.close()
    upstream.closeAllConnections()
  })
  const { port } = upstream.address() as AddressInfo
  const args = ['--upstream', `http://127.0.0.1:${port}`]
  const { url } = await startSidecar(t, undefined, { args })
  const query = 'info/refs?service=git-upload-pack'
  const places = [
    ...[`http://${host}/a/${query}`, `//${host}/a/${query}`, `http://127.0.0.1:${port}@${host}/a/${query}`],
    ...[`http://169.254.169.254/latest/meta-data/${query}`, `http://[::ffff:169.254.169.254]/${query}`],
    ...[
      'file:///etc/passwd',
      `gopher://${host}/${query}`,
      `http://2130706433:${host.split(':')[1]}/a/${query}`,
    ],
    ...[
      `/\\${host}/a/${query}`,
      `http:\\\\${host}\\a/${query}`,
      `\t//${host}/a/${query}`,
      `http:///${host}/a/${query}`,
    ],
  ]
  for (location of places) {
    for (const question of ['v2', 'v0'] as const) {
      const { status, headers } = await askFor(url, 'a', question, { Authorization: 'Bearer secret' })
      t.ok([404, 502, 503].includes(status), `${location} ${status}`)
      t.notOk(headers.location)
    }
  }
  t.same(contacts, [])
})

t.test('a request is one request for the upstream too', async (t) => {
  const server = await openServer(t)
  const { url } = await startSidecar(t, undefined, { args: ['--upstream', server.url] })
  const hidden = 'GET /hidden/HEAD HTTP/1.1\r\nHost: x\r\n\r\n'
  const post = 'POST /a/git-receive-pack'
  const type = 'Content-Type: application/x-git-receive-pack-request'
  const chunked = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`
  const rows: [headers: string[], body: string][] = [
    [['Content-Length: 5', 'Transfer-Encoding: chunked'], `0\r\n\r\n${hidden}`],
    [['Transfer-Encoding: chunked', 'Content-Length: 5'], chunked],
    [['Content-Length: 0', `Content-Length: ${hidden.length}`], hidden],
    [['Content-Length: +5'], hidden],
    [['Transfer-Encoding: xchunked'], chunked],
    [['Transfer-Encoding: chunked, identity'], chunked],
    [['Transfer-Encoding: identity'], hidden],
    [['Transfer-Encoding : chunked'], chunked],
    [['Transfer_Encoding: chunked', `Content-Length: ${hidden.length}`], hidden],
    [['Transfer-Encoding: chunked'], chunked],
    [[`Content-Length: ${hidden.length}`], hidden],
    [[`Content-Length: ${hidden.length}`, 'Connection: Content-Length'], hidden],
    [['Transfer-Encoding: chunked', 'Connection: Transfer-Encoding'], chunked],
    [[`Content-Length: ${hidden.length}`, 'Upgrade: h2c', 'Connection: Upgrade'], hidden],
    [[`Content-Length: ${hidden.length}`, 'X: a\rTransfer-Encoding: chunked'], hidden],
    [[`Content-Length: ${hidden.length}`, 'X: a\n b'], hidden],
    [[`Content-Length: ${hidden.length}`, 'X: a\0b'], hidden],
    [['Expect: 100-continue', `Content-Length: ${hidden.length}`], hidden],
    [['Content-Encoding: gzip', `Content-Length: ${hidden.length}`], hidden],
  ]
  for (const [headers, body] of rows) {
    server.requests.length = 0
    await send(url, post, ['Host: x', type, ...headers], body)
    const { requests } = server
    t.ok(requests.length <= 1, headers.join(', '))
    t.notOk(
      requests.some(({ url }) => url.startsWith('/hidden')),
      headers.join(', '),
    )
    t.ok(requests.every(({ body: got }) => got === '' || got === hidden))
    const names = requests.flatMap(({ rawHeaders }) => rawHeaders.filter((_, at) => at % 2 === 0))
    t.notOk(
      names.some((name) => name.includes('_') || name.toLowerCase() === 'x'),
      names.join(),
    )
  }
  for (const target of ['/a/x%0d%0aX:%20y', '/a/x%20HTTP/1.1%0d%0a', '/a/é', '/a/x?y=%0d%0a', '/a/x?a b']) {
    server.requests.length = 0
    await send(url, `GET ${target}`, ['Host: x'])
    t.ok(server.requests.every(({ headers }) => headers['x'] === undefined))
    t.ok(server.requests.length <= 1)
  }
})

t.test('an upstream that leads back to refstream ends in an error', async (t) => {
  const there: { url?: URL } = {}
  const relay = createTcpServer((socket) => {
    const onward = connectTcp(Number(there.url!.port), there.url!.hostname)
    socket.pipe(onward).pipe(socket)
    for (const end of [socket, onward]) end.on('error', () => (socket.destroy(), onward.destroy()))
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.teardown(() => relay.close())
  const { port } = relay.address() as AddressInfo
  const args = ['--upstream', `http://127.0.0.1:${port}`, '--upstream-head-seconds', '2']
  const sidecar = await startSidecar(t, undefined, { args: [...args, '--pass-through-silence-seconds', '2'] })
  there.url = new URL(sidecar.url)
  for (const question of ['v2', 'v0', 'refs/', 'HEAD'] as const) {
    const { status } = await askFor(sidecar.url, 'a', question, {})
    t.ok(status >= 400, `${question} ${status}`)
  }
  t.equal((await fetch(`${sidecar.adminUrl}/healthz`)).status, 200)
})
