import t, { type Test } from 'tap'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { TrustedProxies } from '../../src/access/proxies.js'
import { Exchange, writeMax, type Monitors } from '../../src/http/exchange.js'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { WriteBudget } from '../../src/limits/connection/write-budget.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { carryExchanges } from '../support/connections.js'
import { counted } from '../support/counted.js'
import { eventually } from '../support/eventually.js'
import { FakeClock } from '../support/fake-clock.js'
import { pending } from '../support/producers.js'

/** A request that a client has sent, as a server of Node hands it over. */
async function openExchange(t: Test, head: string, changes: Partial<Monitors> = {}, awaitsContinue = false) {
  const server = carryExchanges(createServer()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  t.teardown(() => {
    client.destroy()
    server.close()
  })
  const came = once(server, awaitsContinue ? 'checkContinue' : 'request') as Promise<
    [IncomingMessage, ServerResponse]
  >
  client.write(`${head}\r\nHost: x\r\n\r\n`)
  const [request, response] = await came
  const clock = new FakeClock()
  const metrics = new Metrics()
  const stalls = new StallDetector({ idleMs: 1000, minRate: 0, windowMs: 1000, clock })
  const exchange = new Exchange(
    request,
    response,
    {
      ...{ metrics, log: createLog('silent'), shed: () => {}, responseStalls: stalls, requestStalls: stalls },
      writeBudget: new WriteBudget(1 << 30),
      ...changes,
    },
    awaitsContinue,
  )
  const cut = async (): Promise<unknown> =>
    (await counted(metrics.clientsCut)).map(({ labels }) => labels.reason)
  return { exchange, client, clock, metrics, cut }
}

const get = 'GET /r.git/HEAD HTTP/1.1'
const post = 'POST /r.git/git-upload-pack HTTP/1.1\r\nContent-Length: 5'

t.test('a client that leaves before the end of its answer aborts the exchange', async (t) => {
  const { exchange, client } = await openExchange(t, get)
  const { signal } = exchange
  t.equal(exchange.aborted, false)
  client.destroy()
  await eventually('it is aborted', () => exchange.aborted)
  t.equal(signal.aborted, true)
  t.equal(await exchange.send(Buffer.from('x')), false)
  t.equal(await exchange.drained(), false)
  t.equal(exchange.sentBytes, 0)
})

t.test('a client that leaves after its answer does not abort the exchange', async (t) => {
  const { exchange, client } = await openExchange(t, get)
  exchange.end(Buffer.from('x'))
  await eventually('it is sent', () => exchange.response.writableFinished)
  client.destroy()
  await eventually('the connection has gone', () => exchange.request.socket.destroyed)
  t.equal(exchange.aborted, false)
})

t.test(
  'a client that leaves after its request aborts it, and not what carries the request out',
  async (t) => {
    const whole = await openExchange(t, post)
    whole.client.write('12345')
    whole.exchange.request.resume()
    await eventually('the request has come', () => whole.exchange.request.complete)
    const broken = await openExchange(t, post)
    for (const { exchange, client } of [whole, broken]) {
      t.equal(exchange.abortedEarly.aborted, false)
      client.destroy()
      await eventually('it is aborted', () => exchange.aborted)
      t.equal(exchange.signal.aborted, true)
    }
    t.equal(whole.exchange.abortedEarly.aborted, false)
    t.equal(broken.exchange.abortedEarly.aborted, true)
  },
)

t.test('a client that sends nothing of its body is cut as silent', async (t) => {
  const { exchange, clock, cut } = await openExchange(t, post)
  clock.advance(2000)
  t.same(await cut(), ['silent'])
  await eventually('it is aborted', () => exchange.aborted)
  t.equal(clock.timers, 0)
})

t.test('a request without a body is not watched', async (t) => {
  const { clock } = await openExchange(t, get)
  t.equal(clock.timers, 0)
})

t.test('a GET that announces a body is watched', async (t) => {
  const { clock } = await openExchange(t, `${get}\r\nContent-Length: 5`)
  t.equal(clock.timers, 1)
})

t.test('a client that takes nothing of its answer is cut as idle', async (t) => {
  const { exchange, client, clock, cut } = await openExchange(t, get)
  client.pause()
  const chunk = Buffer.alloc(1 << 20)
  // The kernel takes some megabytes for it.
  while (exchange.write(chunk) || !(await pending(exchange.drained())));
  clock.advance(4000)
  t.same(await cut(), ['idle'])
  t.equal(await exchange.drained(), false)
})

t.test('bytes beyond the write budget wait for the next turn of the event loop', async (t) => {
  const ends: (() => void)[] = []
  const writeBudget = new WriteBudget(10, (call) => void ends.push(call))
  const { exchange } = await openExchange(t, get, { writeBudget })
  t.equal(await exchange.send(Buffer.alloc(10)), true)
  const waits = exchange.send(Buffer.alloc(10))
  t.equal(await pending(waits), true)
  t.equal(exchange.sentBytes, 10)
  ends.shift()?.()
  t.equal(await waits, true)
  t.equal(exchange.sentBytes, 20)
  const ended = exchange.end(Buffer.alloc(1))
  t.ok(ended instanceof Promise)
  t.equal(exchange.response.writableEnded, false)
  ends.shift()?.()
  await ended
  t.equal(exchange.response.writableEnded, true)
})

/** Counts the writes to the operating system. */
function countWrites({ request: { socket } }: Exchange): { count: number } {
  const counted = { count: 0 }
  for (const name of ['_write', '_writev'] as const) {
    const write = socket[name]?.bind(socket) as (...args: unknown[]) => void
    Object.assign(socket, { [name]: (...args: unknown[]) => (counted.count++, write(...args)) })
  }
  return counted
}

t.test('short chunks go out together, to a client that takes them', async (t) => {
  for (const head of ['HTTP/1.1', 'HTTP/1.1\r\nConnection: close']) {
    const { exchange, client } = await openExchange(t, `GET /r.git/HEAD ${head}`)
    let received = 0
    client.on('data', (chunk: Buffer) => (received += chunk.length))
    const writes = countWrites(exchange)
    for (let sent = 0; sent < 64; sent++) t.equal(await exchange.send(Buffer.alloc(1 << 16), true), true)
    exchange.response.end()
    await eventually('all has come', () => received > 1 << 22)
    t.ok(writes.count <= 6, `4 MiB by ${writes.count} writes`)
  }
})

t.test(
  'short chunks that wait for their turns go out together, as many as may wait for a client',
  async (t) => {
    const left = 40 * (1 << 16) + 5
    for (const isShared of [true, false]) {
      let turns = 0
      // Each write is more than a turn allows, so that each question but the first waits for a turn.
      const writeBudget = new WriteBudget(1, (call) => void (turns++, setImmediate(call)))
      const { exchange, client } = await openExchange(t, get, { writeBudget })
      client.resume()
      const writes = countWrites(exchange)
      t.equal(await exchange.send(Buffer.alloc(5), isShared, left), true)
      for (let sent = 5; sent < left; sent += 1 << 16)
        t.equal(await exchange.send(Buffer.alloc(1 << 16), isShared, left - sent), true)
      exchange.response.end()
      t.equal(exchange.sentBytes, left)
      if (isShared) t.ok(turns <= 6 && writes.count <= 6, `${turns} turns, ${writes.count} writes`)
      else t.ok(turns >= 40, 'what takes memory for this client alone is asked for bit by bit')
    }
  },
)

t.test('a client that stops reading holds no more of short chunks than of long ones', async (t) => {
  for (const [size, isShared] of [1000, 1 << 16, 300_000, writeMax].flatMap(
    (size) =>
      [
        [size, true],
        [size, false],
      ] as const,
  )) {
    const { exchange, client } = await openExchange(t, get)
    client.pause()
    let waits: Promise<boolean> | undefined
    // The kernel takes some megabytes for it.
    while (!waits) {
      const sending = exchange.send(Buffer.alloc(size), isShared)
      if (await pending(sending)) waits = sending
    }
    const { writableLength } = exchange.response
    const most = isShared ? writeMax : size + exchange.response.writableHighWaterMark
    t.ok(writableLength <= most + 100, `${writableLength} bytes of chunks of ${size}`)
    client.resume()
    t.equal(await waits, true)
  }
})

t.test('100 (Continue) is sent once, to a client that waits for it', async (t) => {
  const { exchange, client } = await openExchange(t, `${post}\r\nExpect: 100-continue`, {}, true)
  let text = ''
  client.on('data', (chunk: Buffer) => (text += chunk.toString()))
  t.equal(exchange.awaitsContinue, true)
  exchange.sendContinue()
  exchange.sendContinue()
  t.equal(exchange.awaitsContinue, false)
  exchange.end(Buffer.from('x'))
  await eventually('the answer has come', () => text.includes('200 OK'))
  t.equal(text.split('100 Continue').length, 2)
})

t.test('what compression saves is counted, but for a HEAD', async (t) => {
  for (const [method, saved] of [
    ['GET', 100],
    ['HEAD', 0],
  ] as const) {
    const { exchange, metrics } = await openExchange(t, `${method} /r.git/HEAD HTTP/1.1`)
    exchange.countSaved('gzip', 100)
    const { values } = await metrics.compressionSaved.get()
    t.equal(values[0]?.value ?? 0, saved)
  }
})

t.test('the client is the peer, or the one that a trusted proxy names', async (t) => {
  const head = `${get}\r\nX-Forwarded-For: 192.0.2.7`
  t.equal((await openExchange(t, head)).exchange.clientAddress, '127.0.0.1')
  const proxies = new TrustedProxies([{ address: '127.0.0.1', bits: 32 }])
  t.equal((await openExchange(t, head, { proxies })).exchange.clientAddress, '192.0.2.7')
})
