import t, { type Test } from 'tap'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { createServer, type AddressInfo } from 'node:net'
import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js'
import { StandingCalls } from '../../../src/grpc/transport/standing-calls.js'
import { eventually } from '../../support/eventually.js'

const identity = (bytes: Buffer): Buffer => bytes
const definition: ServiceDefinition = {
  Ask: {
    ...{ path: '/x.Standing/Ask', requestStream: true, responseStream: true },
    ...{ requestSerialize: identity, requestDeserialize: identity },
    ...{ responseSerialize: identity, responseDeserialize: identity },
  },
}

/** A service that answers each message of a call by a large one. */
async function open(t: Test, max: number) {
  const server = new Server()
  const standing = new StandingCalls(server, max)
  const owed: number[] = []
  standing.addService(['Ask'], (to) =>
    to.addService(definition, {
      Ask: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('data', () => {
          call.write(Buffer.alloc(50_000))
          owed.push(call.writableLength)
        })
      },
    }),
  )
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const listener = createServer((socket) => injector.injectConnection(socket)).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const session = connectHttp2(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`)
  t.teardown(() => {
    session.destroy()
    server.forceShutdown()
    listener.close()
  })
  const ask = () => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/x.Standing/Ask',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    return stream.on('error', () => {})
  }
  return { standing, ask, owed, ping: () => new Promise((resolve) => session.ping(resolve)) }
}

t.test('the next request of a client that takes no answer is not read', async (t) => {
  const { ask, owed, ping } = await open(t, 10)
  const stream = ask()
  stream.write(Buffer.alloc(5 * 1000))
  await eventually('the first is answered', () => owed.length > 0)
  for (let turn = 0; turn < 20; turn++) await ping()
  t.ok(owed.length > 0 && owed.length < 10, `${owed.length} are answered`)
  t.equal(Math.max(...owed), 1)
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes === 1000 * 50_005) stream.close()
  })
  await once(stream, 'close')
  t.equal(owed.length, 1000, 'one that takes them gets all')
  t.equal(Math.max(...owed), 1)
})

t.test('the calls of one connection are limited, and all end with the server', async (t) => {
  const { ask, standing } = await open(t, 2)
  const statusOf = async (stream: ReturnType<typeof ask>): Promise<unknown> =>
    ((await once(stream.resume(), 'response')) as [Record<string, string>])[0]['grpc-status']
  const [first, second] = [ask(), ask()]
  t.equal(await statusOf(ask()), '8', 'RESOURCE_EXHAUSTED')
  first.close()
  await once(first, 'close')
  const third = ask()
  const ends = [second, third].map(statusOf)
  third.write(Buffer.alloc(5))
  // Its first answer: the call is there.
  await once(third, 'data')
  standing.end()
  t.same(await ends[0], '14', 'UNAVAILABLE')
})
