import t from 'tap'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { socketClient } from '../../src/limits/socket-client.js'
import { eventually } from '../support/eventually.js'

t.test('what a client has taken shows in the midst of a large write', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connected = once(server, 'connection') as Promise<[Socket]>
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1').pause()
  const [socket] = await connected
  t.teardown(() => {
    reader.destroy()
    socket.destroy()
    server.close()
  })
  const client = socketClient(socket)
  t.same([client.taken(), client.owed()], [0, false])

  const size = 50_000_000
  for (const part of [1, 3, 1]) socket.write(Buffer.alloc((part * size) / 5))
  let before = -1
  await eventually('the kernel takes no more', () => {
    const settled = client.taken() === before
    before = client.taken()
    return settled && before > 0
  })
  t.ok(client.owed())
  t.ok(before < size)

  let read = 0
  const seen = new Set<number>()
  reader.on('data', (chunk: Buffer) => {
    read += chunk.length
    seen.add(client.taken())
  })
  reader.resume()
  await eventually('all is read', () => read === size)
  t.ok(seen.size > 10, 'there is progress within a write')
  t.same(
    [...seen],
    [...seen].sort((a, b) => a - b),
    'and never back',
  )
  await eventually('nothing is owed', () => !client.owed())
  t.equal(client.taken(), size)
})
