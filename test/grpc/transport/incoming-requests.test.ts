import t, { type Test } from 'tap'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { connect, createServer, type AddressInfo } from 'node:net'
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import { http2Server } from '../../../src/grpc/transport/http2-server.js'
import {
  IncomingRequests,
  type IncomingRequestsOptions,
} from '../../../src/grpc/transport/incoming-requests.js'
import { eventually } from '../../support/eventually.js'
import { definitions, GrpcClient } from '../../support/grpc-client.js'

const MiB = 1024 * 1024
const statPath = '/refstream.v1.CacheService/Stat'

/** A server that answers each Stat that has come whole. */
async function open(t: Test, options: Partial<Omit<IncomingRequestsOptions, 'cut'>> = {}) {
  const cuts: string[] = []
  const incoming = new IncomingRequests({
    ...{ idleMs: 600_000, maxBytes: 64 * MiB, connectionBytes: 4 * MiB, ...options },
    cut: (reason) => cuts.push(reason),
  })
  const server = new Server({
    interceptors: [incoming.interceptor],
    'grpc.max_concurrent_streams': 1000,
    'grpc.max_receive_message_length': MiB,
  })
  server.addService(definitions['refstream.v1.CacheService'] as ServiceDefinition, {
    Stat: (_: unknown, reply: (error: null, message: object) => void) => reply(null, {}),
    Invalidate: () => {},
  })
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  incoming.watch(http2Server(server))
  const listener = createServer((socket) => injector.injectConnection(socket)).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    server.forceShutdown()
    listener.close()
  })
  const target = `127.0.0.1:${(listener.address() as AddressInfo).port}`
  const session = async (): Promise<ClientHttp2Session> => {
    const opened = connectHttp2(`http://${target}`).on('error', () => {})
    t.teardown(() => opened.destroy())
    await once(opened, 'remoteSettings')
    return opened
  }
  const client = () => new GrpcClient(t, target, 'refstream.v1.CacheService')
  return { incoming, cuts, target, session, client }
}

const headers = {
  ':method': 'POST',
  ':path': statPath,
  'content-type': 'application/grpc',
  te: 'trailers',
}

/** A call of which only the head has been sent. */
const begin = (session: ClientHttp2Session, more: Record<string, string> = {}): ClientHttp2Stream =>
  session
    .request({ ...headers, ...more })
    .on('error', () => {})
    .resume()

/** The head of a message of so many bytes. */
function head(length: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32BE(length, 1)
  return bytes
}

const statusOf = async (stream: ClientHttp2Stream): Promise<unknown> =>
  ((await once(stream, 'response')) as [Record<string, string>])[0]['grpc-status']

const stat = (client: GrpcClient) => client.unary('Stat', { repository: 'r.git' })
const burst = (client: GrpcClient, count: number) =>
  Promise.all(Array.from({ length: count }, () => stat(client)))

for (const count of [500, 2000]) {
  t.test(`${count} calls at once on one connection all succeed`, async (t) => {
    const { client, cuts, incoming } = await open(t)
    const answers = await burst(client(), count)
    t.equal(answers.length, count)
    t.same(cuts, [])
    t.equal(incoming.bytes, 0)
  })
}

for (const [connections, streams] of [
  [1, 200],
  [5, 1000],
  [20, 1000],
] as const) {
  const all = connections * streams
  t.test(
    `${all} calls without a message on ${connections} connections do not affect other clients`,
    async (t) => {
      const { session, client, incoming, cuts } = await open(t)
      let ended = 0
      for (let connection = 0; connection < connections; connection++) {
        const from = await session()
        for (let stream = 0; stream < streams; stream++) begin(from).on('close', () => ended++)
        await new Promise<void>((resolve, reject) => {
          from.ping((error) => (error ? reject(error) : resolve()))
        })
      }
      t.equal((await burst(client(), 2000)).length, 2000)
      t.ok(incoming.bytes <= 64 * MiB)
      t.equal(cuts.length > 0, all > 6000, 'only as many are ended as must be')
      await eventually('those are told', () => ended === cuts.length)
      t.same(new Set(cuts), new Set(cuts.length > 0 ? ['memory'] : []))
    },
  )
}

t.test('a connection takes many large requests one after another', async (t) => {
  const { client, cuts, incoming } = await open(t)
  let most = 0
  const sampler = setInterval(() => (most = Math.max(most, incoming.bytes)), 1)
  t.teardown(() => clearInterval(sampler))
  const large = client()
  const message = { repository: 'r'.repeat(MiB - 100) }
  await Promise.all(Array.from({ length: 100 }, () => large.unary('Stat', message)))
  t.same(cuts, [])
  t.ok(most < 10 * MiB, `${most}`)
})

t.test(
  'a client that sends nothing more of its request gets DEADLINE_EXCEEDED, and its stream ends',
  async (t) => {
    const { session, client, cuts } = await open(t, { idleMs: 200 })
    const from = await session()
    const whole = Buffer.concat([head(2), Buffer.from([10, 0])])
    // Nothing, half of a message, and a whole one after which more may come.
    for (const sent of [Buffer.alloc(0), head(100), whole]) {
      const stream = begin(from)
      if (sent.length > 0) stream.write(sent)
      const closed = once(stream, 'close')
      t.equal(await statusOf(stream), '4', 'DEADLINE_EXCEEDED')
      await closed
    }
    t.same(cuts, ['silent', 'silent', 'silent'])
    await stat(client())
  },
)

t.test('of the address that holds most, the call that has been silent longest is ended', async (t) => {
  const { session, cuts } = await open(t, { maxBytes: 60 * 1024 })
  const from = await session()
  const streams = Array.from({ length: 4 }, () => begin(from))
  const first = streams[0]!
  first.write(head(100_000))
  await eventually('it is read', () => from.state.outboundQueueSize === 0)
  await new Promise((resolve) => from.ping(resolve))
  const ended = streams.map(async (stream, index) => {
    await statusOf(stream)
    return index
  })
  begin(from)
  begin(from)
  t.equal(await Promise.race(ended), 1, 'the first has gone on meanwhile')
  t.equal(cuts[0], 'memory')
})

t.test('an answer before the end of its request ends the call', async (t) => {
  const { session, incoming } = await open(t)
  const from = await session()
  const refused: [string, Record<string, string>, Buffer][] = [
    ['a method that there is not', { ':path': '/x.Y/Z' }, Buffer.alloc(0)],
    ['another kind of content', { 'content-type': 'text/plain' }, head(100)],
    ['a message too large', {}, Buffer.concat([head(MiB + 1), Buffer.alloc(100)])],
    ['two messages', {}, Buffer.concat([head(0), head(0)])],
  ]
  for (const [what, more, sent] of refused) {
    const stream = begin(from, more)
    if (sent.length > 0) stream.write(sent)
    await once(stream, 'close')
    t.equal(stream.rstCode, 0, what)
  }
  t.equal(incoming.bytes, 0)
})

t.test('metadata is limited, whether or not the client has acknowledged the limit', async (t) => {
  const { session, target, client, incoming } = await open(t)
  const field = 'x'.repeat(4000)
  const large = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`m${index}`, field]))
  const closed = (stream: ClientHttp2Stream): Promise<void> =>
    new Promise((resolve) => stream.once('close', resolve))
  const stream = begin(await session(), large)
  await closed(stream)
  t.not(stream.rstCode, 0)
  // Settings are not acknowledged: 20 fields that are one in HPACK's table.
  const deaf = connectHttp2(`http://${target}`).on('error', () => {})
  t.teardown(() => deaf.destroy())
  const early = begin(deaf, large)
  await closed(early)
  t.not(early.rstCode, 0)
  t.equal(incoming.bytes, 0)
  await stat(client())
})

t.test('streams that are opened and reset as fast as possible do not affect other clients', async (t) => {
  const { session, client, incoming } = await open(t)
  const from = await session()
  const other = client()
  await stat(other)
  for (let count = 0; count < 5000 && !from.closed && !from.destroyed; count++) {
    const stream = begin(from)
    stream.close()
    if (count % 100 === 0) await new Promise(setImmediate)
  }
  t.equal((await burst(other, 500)).length, 500)
  await eventually('nothing is left', () => incoming.bytes === 0)
})

const frame = (type: number, flags: number, stream: number, payload = Buffer.alloc(0)): Buffer => {
  const bytes = Buffer.alloc(9)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes.writeUInt8(type, 3)
  bytes.writeUInt8(flags, 4)
  bytes.writeUInt32BE(stream, 5)
  return Buffer.concat([bytes, payload])
}
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const [settingsFrame, pingFrame] = [frame(4, 0, 0), frame(6, 0, 0, Buffer.alloc(8))]

t.test('pings and settings whose answers are not read end their connection', async (t) => {
  const { target, client } = await open(t)
  const other = client()
  for (const [what, flood] of [
    ['pings', pingFrame],
    ['settings', settingsFrame],
  ] as const) {
    const socket = connect(Number(target.split(':')[1]), '127.0.0.1')
    const ended = new Promise<'ended'>((resolve) => {
      socket.on('error', () => resolve('ended')).on('close', () => resolve('ended'))
    })
    socket.pause().write(Buffer.concat([preface, settingsFrame]))
    const many = Buffer.concat(Array.from({ length: 5000 }, () => flood))
    do socket.write(many)
    while ((await Promise.race([ended, new Promise(setImmediate)])) !== 'ended')
    t.pass(what)
    await stat(other)
  }
})
