import t, { type Test } from 'tap'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { peerOf, TrustedProxies } from '../../../src/access/proxies.js'
import { ProxyProtocol } from '../../../src/server/proxy-protocol/proxy-protocol.js'
import { createLog } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { counted } from '../../support/counted.js'
import { before, header1, header2, rawHeader2 } from '../../support/proxy-header.js'

/** Starts an HTTP server that answers each request with its path, the length of its body, and its client. */
async function open(t: Test, trusted = '127.0.0.1', headerMs = 60_000) {
  const proxies = new TrustedProxies([{ address: trusted, bits: 32 }])
  const metrics = new Metrics()
  const http = createServer((request, response) => {
    let length = 0
    request.on('data', (chunk: Buffer) => (length += chunk.length))
    request.on('end', () => {
      const { address } = proxies.clientOf(peerOf(request.socket), request.headers)
      response.end(`${request.url} ${length} ${address}\n`)
    })
  })
  const options = { proxies, unix: false, headerMs, metrics, log: createLog('silent') }
  const proxyProtocol = new ProxyProtocol(options)
  const server = proxyProtocol.inFrontOf(http, true).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    proxyProtocol.endWaiting()
    http.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const dial = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return socket
  }
  const refused = async (): Promise<Record<string, number>> => {
    const values = await counted(metrics.proxyHeadersRefused)
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.reason), value] as const))
  }
  return { server, proxyProtocol, dial, refused }
}

const get = (path = '/', headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}Connection: close\r\n\r\n`
/** The last line of an answer. */
const lastLine = async (socket: Socket): Promise<string> =>
  (await text(socket).catch(() => '')).trimEnd().split('\n').at(-1) ?? ''

t.test('the client is the one that the header names', async (t) => {
  const { dial, refused } = await open(t)
  const rows: [Buffer, string][] = [
    [header1('192.0.2.7'), '192.0.2.7'],
    [header1('2001:db8::7'), '2001:db8::7'],
    [header2('192.0.2.7'), '192.0.2.7'],
    [header2('2001:db8::7', Buffer.from([4, 0, 1, 0])), '2001:db8::7'],
    [Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1'],
    [rawHeader2(0x20, 0, Buffer.alloc(0)), '127.0.0.1'],
  ]
  for (const [header, client] of rows) {
    const socket = await dial()
    // A client behind the proxy may send anything.
    socket.write(Buffer.concat([header, Buffer.from(get('/', 'X-Forwarded-For: 203.0.113.9\r\n'))]))
    t.equal(await lastLine(socket), `/ 0 ${client}`, header.toString('latin1'))
  }
  t.same(await refused(), {})
})

t.test('headers of another trusted proxy before it are believed', async (t) => {
  const { dial } = await open(t)
  const socket = await dial()
  socket.write(before(header1('127.0.0.1'), get('/', 'X-Forwarded-For: 203.0.113.9\r\n')))
  t.equal(await lastLine(socket), '/ 0 203.0.113.9')
})

t.test('bytes come in any pieces, and none is lost or read twice', async (t) => {
  const { dial } = await open(t)
  const body = 'x'.repeat(300_000)
  const post = `POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
  const bytes = Buffer.from(
    `${header2('192.0.2.7').toString('latin1')}GET /one HTTP/1.1\r\nHost: x\r\n\r\n${post}`,
    'latin1',
  )
  for (const size of [1, 7, 40, bytes.length]) {
    const socket = await dial()
    const answer = lastLine(socket)
    let at = 0
    for (; at < 60; at += size) {
      socket.write(bytes.subarray(at, at + size))
      await new Promise(setImmediate)
    }
    socket.write(bytes.subarray(at))
    t.equal(await answer, `/two ${body.length} 192.0.2.7`, `pieces of ${size}`)
  }
})

t.test('a client that ends its side after its request gets the answer', async (t) => {
  const { dial } = await open(t)
  const socket = await dial()
  socket.end(before(header1('192.0.2.7'), get()))
  t.equal(await lastLine(socket), '/ 0 192.0.2.7')
})

t.test('connections of others are not read: a header is a bad request', async (t) => {
  const { dial, refused } = await open(t, '127.0.0.9')
  const plain = await dial()
  plain.write(get())
  t.equal(await lastLine(plain), '/ 0 127.0.0.1')
  const forged = await dial()
  forged.write(before(header1('192.0.2.7'), get()))
  t.match(await text(forged), /^HTTP\/1\.1 400 /)
  t.same(await refused(), {})
})

t.test('what is not a header is closed without an answer, and counted', async (t) => {
  const { dial, refused } = await open(t)
  const request = await dial()
  request.write(get())
  t.equal(await lastLine(request), '')
  const half = await dial()
  half.end('PROXY TCP4')
  t.equal(await lastLine(half), '')
  const reset = await dial()
  reset.write('PROXY TCP4', () => reset.resetAndDestroy())
  const check = await dial()
  check.end()
  t.equal(await lastLine(check), '')
  while ((await refused())['incomplete'] !== 2) await sleep(5)
  t.same(await refused(), { malformed: 1, incomplete: 2 }, 'a connection without a byte is a check')
})

t.test('a header that does not come in time is waited for no longer', async (t) => {
  const { dial, refused } = await open(t, '127.0.0.1', 50)
  const [silent, slow] = [await dial(), await dial()]
  slow.write('PROXY ')
  t.same(await Promise.all([lastLine(silent), lastLine(slow)]), ['', ''])
  t.same(await refused(), { late: 2 })
})

t.test('a shutdown waits for no header', async (t) => {
  const { server, proxyProtocol, dial } = await open(t)
  const sockets = [await dial(), await dial()]
  const ends = sockets.map(lastLine)
  sockets[1]!.write('PROXY ')
  while (await new Promise<boolean>((resolve) => server.getConnections((_, count) => resolve(count < 2))))
    await sleep(5)
  const closed = once(server, 'close')
  server.close()
  proxyProtocol.endWaiting()
  await closed
  t.same(await Promise.all(ends), ['', ''])
})
