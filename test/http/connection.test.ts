import t, { type Test } from 'tap'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, Socket, type AddressInfo } from 'node:net'
import { Connection } from '../../src/http/connection.js'
import { FairShares } from '../../src/limits/admission/shares.js'
import { eventually } from '../support/eventually.js'
import { turns } from '../support/producers.js'

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** A server whose requests are answered by the test, and a client of it. */
async function openConnection(t: Test, pipelinedMax = 100) {
  const asked: Asked[] = []
  const dropped: number[] = []
  const pipelined = new FairShares(pipelinedMax, Infinity)
  const server = createServer((request, response) =>
    Connection.of(request.socket).take(request, response, false),
  )
  let cuts = 0
  server.on('connection', (socket) => {
    new Connection(socket, {
      answer: (request, response) => void asked.push({ request, response }),
      pipelined,
      dropped: (count) => void dropped.push(count),
      cut: () => cuts++,
    })
  })
  server.on('clientError', (_error, socket) =>
    Connection.of(socket).reject('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  let received = ''
  client.on('data', (chunk: Buffer) => (received += chunk.toString()))
  const ended = new Promise((resolve) => client.once('close', resolve))
  t.teardown(() => {
    client.destroy()
    server.close()
    server.closeAllConnections()
  })
  const comes = (count: number): Promise<void> => eventually(`request ${count}`, () => asked.length === count)
  return {
    ...{ asked, dropped, pipelined, client, ended, comes },
    cuts: () => cuts,
    received: () => received,
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const many = (count: number): string => Array.from({ length: count }, (_, index) => get(`/${index}`)).join('')

t.test('requests of one connection are answered one after another', async (t) => {
  const { asked, client, comes, pipelined, received } = await openConnection(t)
  client.write(many(3))
  await comes(1)
  await eventually('the others wait', () => pipelined.taken === 2)
  for (let index = 0; index < 3; index++) {
    await comes(index + 1)
    t.equal(asked[index]?.request.url, `/${index}`)
    asked[index]?.response.end(`answer ${index};`)
  }
  await eventually('all answers have come', () => received().includes('answer 2;'))
  t.match(received(), /answer 0;[^]*answer 1;[^]*answer 2;/)
  t.equal(pipelined.taken, 0)
})

t.test('no more than 16 requests are read ahead, and reading goes on afterwards', async (t) => {
  const { asked, client, comes, pipelined } = await openConnection(t)
  client.write(many(5))
  await comes(1)
  await eventually('some wait', () => pipelined.taken === 4)
  for (let index = 5; index < 40; index++) {
    client.write(get(`/${index}`))
    await turns(2)
  }
  t.ok(pipelined.taken <= 17, `${pipelined.taken} wait`)
  for (let index = 0; index < 40; index++) {
    await comes(index + 1)
    t.equal(asked[index]?.request.url, `/${index}`)
    asked[index]?.response.end()
  }
})

t.test('a client without a share left is cut, and its waiting requests are dropped', async (t) => {
  const { client, ended, comes, dropped, pipelined, cuts } = await openConnection(t, 2)
  client.write(many(4))
  await ended
  await comes(1)
  t.equal(cuts(), 1)
  t.same(dropped, [2])
  t.equal(pipelined.taken, 0)
})

t.test('waiting requests of a client that leaves are dropped', async (t) => {
  const { client, comes, dropped, pipelined } = await openConnection(t)
  client.write(many(3))
  await comes(1)
  await eventually('the others wait', () => pipelined.taken === 2)
  client.destroy()
  await eventually('they are dropped', () => pipelined.taken === 0)
  t.same(dropped, [2])
})

t.test('what is not a request is rejected, after the answer that is under way', async (t) => {
  const alone = await openConnection(t)
  alone.client.write('x\r\n\r\n')
  await alone.ended
  t.match(alone.received(), /^HTTP\/1.1 400 /)
  const { asked, client, comes, ended, received } = await openConnection(t)
  client.write(`${get('/0')}x\r\n\r\n`)
  await comes(1)
  await turns()
  asked[0]?.response.end('whole')
  await ended
  t.match(received(), /whole/)
  t.notMatch(received(), /400/)
})

t.test('a response that is broken off ends before its announced length', async (t) => {
  const { asked, client, comes, ended, received } = await openConnection(t)
  client.write(get('/0'))
  await comes(1)
  asked[0]?.response.writeHead(200, { 'Content-Length': 10 }).write('half')
  Connection.of(asked[0]!.request.socket).breakOff()
  await ended
  t.match(received(), /half$/)
})

t.test('of HTTP/1.0, a response that is broken off is reset', async (t) => {
  const { asked, client, comes } = await openConnection(t)
  const failed = new Promise((resolve) => client.once('error', resolve))
  client.write('GET /0 HTTP/1.0\r\n\r\n')
  await comes(1)
  asked[0]?.response.writeHead(200).write('half')
  Connection.of(asked[0]!.request.socket).breakOff()
  t.match(await failed, { code: 'ECONNRESET' })
})

t.test('only sockets of the server have a connection', async (t) => {
  t.throws(() => Connection.of(new Socket()), TypeError)
})
