import t, { type Test } from 'tap'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Stream } from 'node:http2'
import { createServer, type AddressInfo } from 'node:net'
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import { requestWait } from '../../src/grpc/request-wait.js'
import { codeOf, definitions, GrpcClient } from '../support/grpc-client.js'

/** A server that answers each Stat that has come whole. */
async function open(t: Test, options: { idleMs: number; max: number }) {
  const server = new Server({ interceptors: [requestWait(options)] })
  server.addService(definitions['refstream.v1.CacheService'] as ServiceDefinition, {
    Stat: (_: unknown, reply: (error: null, message: object) => void) => reply(null, {}),
    Invalidate: () => {},
  })
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const listener = createServer((socket) => injector.injectConnection(socket)).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    server.forceShutdown()
    listener.close()
  })
  const target = `127.0.0.1:${(listener.address() as AddressInfo).port}`
  const session = connectHttp2(`http://${target}`)
  t.teardown(() => session.destroy())
  /** A request of which half has been sent. */
  const half = (): ClientHttp2Stream => {
    const headers = { 'content-type': 'application/grpc', te: 'trailers' }
    const stream = session.request({
      ':method': 'POST',
      ':path': '/refstream.v1.CacheService/Stat',
      ...headers,
    })
    stream.write(Buffer.from([0, 0, 0, 0, 100, 1, 2, 3]))
    return stream.on('error', () => {}).resume()
  }
  return { client: new GrpcClient(t, target, 'refstream.v1.CacheService'), half }
}

const statusOf = async (stream: ClientHttp2Stream): Promise<unknown> =>
  ((await once(stream, 'response')) as [Record<string, string>])[0]['grpc-status']

t.test('a request that does not come whole in time is ended, and its stream with it', async (t) => {
  const { half, client } = await open(t, { idleMs: 200, max: 10 })
  const stream = half()
  const closed = once(stream, 'close')
  t.equal(await statusOf(stream), '4', 'DEADLINE_EXCEEDED')
  await closed
  await client.unary('Stat', { repository: 'r.git' })
})

t.test('so many may be under way; whoever comes whole, or goes, makes room', async (t) => {
  const { half, client } = await open(t, { idleMs: 600_000, max: 2 })
  for (let count = 0; count < 5; count++) await client.unary('Stat', { repository: 'r.git' })
  const [first, second] = [half(), half()]
  const third = half()
  t.equal(await statusOf(third), '8', 'RESOURCE_EXHAUSTED')
  t.equal(await codeOf(client.unary('Stat', { repository: 'r.git' })), 'RESOURCE_EXHAUSTED')
  first.close()
  await once(first, 'close')
  await t.resolves(client.unary('Stat', { repository: 'r.git' }))
  second.close()
})
