import t from 'tap'
import type { Test } from 'tap'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2, performServerHandshake, type ServerHttp2Stream } from 'node:http2'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { handleClient, socketClient } from '../../../src/limits/connection/socket-client.js'
import { Authority } from '../../support/certificates.js'
import { eventually } from '../../support/eventually.js'

t.test('progress is seen within a large write', async (t) => {
  await t.test('TCP', (t) =>
    showsProgress(t, createServer(), 'connection', (port) => connect(port, '127.0.0.1')),
  )
  await t.test('TLS', (t) => {
    const { cert, key } = new Authority(t).issue()
    const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) })
    const dial = (port: number) => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    return showsProgress(t, server, 'secureConnection', dial)
  })
})

async function showsProgress(t: Test, server: Server, event: string, dial: (port: number) => Socket) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connected = once(server, event) as Promise<[Socket]>
  const reader = dial((server.address() as AddressInfo).port).pause()
  const [socket] = await connected
  t.teardown(() => {
    reader.destroy()
    socket.destroy()
    server.close()
  })
  const client = socketClient(socket)
  t.equal(client.owed(), false)
  const start = client.taken()

  const size = 50_000_000
  for (const part of [1, 3, 1]) socket.write(Buffer.alloc((part * size) / 5))
  let before = -1
  await eventually('the kernel takes no more', () => {
    const settled = client.taken() === before
    before = client.taken()
    return settled && before > 0
  })
  t.ok(client.owed())
  t.ok(before - start < size)

  let read = 0
  const seen = new Set<number>()
  reader.on('data', (chunk: Buffer) => {
    read += chunk.length
    seen.add(client.taken())
  })
  reader.resume()
  await eventually('all is read', () => read === size)
  t.ok(seen.size > 10, 'progress within a write')
  t.same(
    [...seen],
    [...seen].sort((a, b) => a - b),
    'and never back',
  )
  await eventually('nothing is owed', () => !client.owed())
  const overhead = client.taken() - start - size
  t.ok(overhead >= 0 && overhead < size / 100, 'with what TLS adds')
}

t.test('what is written past a socket is owed until the kernel has taken it', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connected = once(server, 'connection') as Promise<[Socket]>
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = await connected
  const session = performServerHandshake(socket).on('error', () => {})
  const asking = connectHttp2('http://localhost', {
    createConnection: () => reader,
    settings: { initialWindowSize: 2 ** 31 - 1 },
  }).on('error', () => {})
  t.teardown(() => {
    asking.destroy()
    session.destroy()
    server.close()
  })
  const asked = once(session, 'stream') as Promise<[ServerHttp2Stream]>
  await once(asking, 'connect')
  asking.setLocalWindowSize(2 ** 31 - 1)
  const stream = asking.request({ ':path': '/' })
  const [answer] = await asked
  answer.respond()
  await once(stream, 'response')
  await eventually('the window is open', () => (session.state.remoteWindowSize ?? 0) > 2 ** 30)
  const client = handleClient(socket)
  await eventually('nothing is owed', () => !client.owed())
  const start = client.taken()

  const size = 50_000_000
  const { _handle: handle } = reader as unknown as { _handle: { readStop(): void; readStart(): void } }
  handle.readStop()
  answer.end(Buffer.alloc(size))
  await eventually('the kernel takes no more', () => client.owed())
  t.equal(socketClient(socket).owed(), false, 'the socket itself has nothing')
  t.ok(client.taken() - start < size)
  let read = 0
  stream.on('data', (chunk: Buffer) => (read += chunk.length))
  handle.readStart()
  await eventually('all is read', () => read === size)
  await eventually('nothing is owed any more', () => !client.owed())
  t.ok(client.taken() - start >= size)
})
