import t from 'tap'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setLogger, type ServiceDefinition } from '@grpc/grpc-js'
import { GrpcServer, type GrpcServerOptions } from '../../src/grpc/server.js'
import type { CallTarget } from '../../src/grpc/call.js'
import { packages } from '../../src/grpc/proto/definitions.js'
import { RpcError } from '../../src/grpc/status.js'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { AdmissionGate } from '../../src/limits/admission/admission-gate.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { eventually } from '../support/eventually.js'
import { codeOf, GrpcClient, rawCall } from '../support/grpc-client.js'

type Test = ConstructorParameters<typeof GrpcClient>[0]

const gateMax = 100

/** A server whose services only record which of their members were used. */
async function openServer(t: Test, authorize: GrpcServerOptions['authorize'], host = '127.0.0.1') {
  const touched: string[] = []
  const recorder = new Proxy(
    {},
    {
      get: (_, name) => () => {
        touched.push(String(name))
        throw new Error('this service does nothing')
      },
    },
  )
  const grpc = new GrpcServer({
    ...{ origin: recorder, leases: recorder, inspector: recorder },
    authorize,
    clientOf: () => '',
    adminOf: () => undefined,
    metrics: new Metrics(),
    log: createLog('silent'),
    responseStalls: new StallDetector({ idleMs: 0, minRate: 0, windowMs: 0 }),
    gate: new AdmissionGate({ max: gateMax, saturatedAfterMs: Infinity, queueMax: 0, waitMs: 0 }),
    shed: () => {},
    storages: new Map([['default', 'below']]),
    leaseMaxSeconds: 60,
    invalidated: () => {},
    notReady: () => undefined,
    reflection: true,
    requestIdleMs: 60_000,
    clientIdleMs: 60_000,
  } as unknown as GrpcServerOptions)
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    grpc.serve(socket)
  })
  server.listen(0, host)
  await once(server, 'listening')
  t.teardown(() => {
    grpc.close()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { grpc, touched, sockets, target: `127.0.0.1:${port}` }
}

const refsPath = '/refstream.v1.RefService/ListRefs'
const services = ['RefService', 'LeaseService', 'CacheService'].map((name) => `refstream.v1.${name}`)
const request = {
  // A message for every method: fields that a method does not have are left out of it.
  refs: { repository: 'r.git', protocol: 2, ttl: { seconds: 1 }, id: 'x' },
  gitaly: { repository: { storageName: 'default', relativePath: 'r.git' } },
}

t.test('no call touches a repository before it is authorized', async (t) => {
  for (const [reason, code] of [
    ['unauthenticated', 'UNAUTHENTICATED'],
    ['denied', 'PERMISSION_DENIED'],
  ] as const) {
    const wanted: (CallTarget & { readonly path: string })[] = []
    const { touched, target } = await openServer(t, async (caller, what) => {
      t.match(caller.getPeer(), /^127\.0\.0\.1:\d+$/)
      wanted.push({ ...what, path: caller.getPath() })
      throw new RpcError(reason, 'not you')
    })
    const expected: string[] = []
    for (const name of [...services, 'gitaly.SmartHTTPService']) {
      const definition = packages[name] as ServiceDefinition
      const client = new GrpcClient(t, target, definition)
      const message = name.startsWith('gitaly') ? request.gitaly : request.refs
      for (const [method, { responseStream, path }] of Object.entries(definition)) {
        const call = responseStream ? client.all(method, message) : client.unary(method, message)
        t.equal(await codeOf(call), code, path)
        expected.push(path)
      }
    }
    t.same(touched, [])
    t.same(
      wanted.map(({ path }) => path),
      expected,
      'each has been asked about once',
    )
    const of = (path: string) => wanted.find((each) => each.path === path)
    t.match(of('/refstream.v1.RefService/Advertise'), { repository: 'r.git', service: 'upload-pack' })
    t.match(of('/gitaly.SmartHTTPService/InfoRefsUploadPack'), {
      ...{ repository: 'below/r.git', service: 'upload-pack' },
    })
    t.match(of('/refstream.v1.LeaseService/Hold'), { repository: 'r.git', service: 'admin' })
    t.match(of('/refstream.v1.CacheService/Stat'), { repository: 'r.git', service: 'admin' })
  }
})

t.test('an unexpected error is INTERNAL, and says nothing', async (t) => {
  const { target, touched } = await openServer(t, () => Promise.resolve({}))
  const client = new GrpcClient(t, target, 'refstream.v1.RefService')
  t.equal(await codeOf(client.all('Advertise', { repository: 'r.git' })), 'INTERNAL')
  t.same(touched, ['advertise'])
})

t.test('connections that do not speak HTTP/2, or break, do not affect other clients', async (t) => {
  const { target, sockets, grpc } = await openServer(t, async () => {
    throw new RpcError('denied', 'x')
  })
  const [host = '', port] = target.split(':')
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\0'.repeat(100), '']) {
    const socket = connect(Number(port), host)
    await once(socket, 'connect')
    socket.on('error', () => {})
    socket.write(bytes)
    if (bytes === '') socket.resetAndDestroy()
    else await once(socket.resume(), 'close')
  }
  const client = new GrpcClient(t, target, 'refstream.v1.RefService')
  t.equal(await codeOf(client.all('Advertise', { repository: 'r.git' })), 'PERMISSION_DENIED')
  sockets.at(-1)?.destroy(new Error('broken'))
  await eventually('it connects again', async () => {
    return (await codeOf(client.all('Advertise', { repository: 'r.git' }))) === 'PERMISSION_DENIED'
  })
  await grpc.drain(10)
  t.equal(await codeOf(client.all('Advertise', { repository: 'r.git' })), 'UNAVAILABLE')
})

t.test('credentials that cannot be read are not logged', async (t) => {
  const lines: unknown[] = []
  const { target } = await openServer(t, async () => {
    throw new RpcError('unauthenticated', 'not you')
  })
  setLogger({ ...console, error: (...line: unknown[]) => lines.push(line) })
  t.teardown(() => setLogger(console))
  const headers = { authorization: 'Bearer s3cr\u00e9t' }
  const call = rawCall(t, target, '/refstream.v1.RefService/Advertise', { repository: 'r.git' }, headers)
  const [answer] = (await once(call, 'response')) as [Record<string, string>]
  t.equal(answer['grpc-status'], '16')
  t.same(lines, [])
})

t.test('the client of a request with a very long name gets its status', async (t) => {
  const { target } = await openServer(t, () => Promise.resolve({}))
  const client = new GrpcClient(t, target, packages['gitaly.SmartHTTPService'] as ServiceDefinition)
  const repository = { storageName: 'x'.repeat(500_000), relativePath: 'r.git' }
  t.equal(await codeOf(client.all('InfoRefsUploadPack', { repository })), 'INVALID_ARGUMENT')
})

t.test('no more calls are authorized at once than are admitted', async (t) => {
  let answer = (): void => {}
  const answered = new Promise<void>((resolve) => (answer = resolve))
  let asked = 0
  const { target } = await openServer(t, async () => {
    asked++
    await answered
    throw new RpcError('denied', 'not you')
  })
  const client = new GrpcClient(t, target, 'refstream.v1.RefService')
  const ask = () => codeOf(client.all('Advertise', { repository: 'r.git' }))
  const inside = Array.from({ length: gateMax }, ask)
  await eventually('all are being authorized', () => asked === gateMax)
  t.equal(await Promise.race([ask(), eventually('one more', () => asked > gateMax)]), 'RESOURCE_EXHAUSTED')
  answer()
  t.same(new Set(await Promise.all(inside)), new Set(['PERMISSION_DENIED']))
  t.equal(await ask(), 'PERMISSION_DENIED', 'a call that is denied leaves the gate')
})

t.test('two clients are not confused whose connections have the same peer address and port', async (t) => {
  const askedBy: number[] = []
  const { target, sockets } = await openServer(
    t,
    async (_, __, socket) => {
      askedBy.push(socket ? sockets.indexOf(socket) : -1)
      throw new RpcError('denied', 'x')
    },
    '0.0.0.0',
  )
  const port = Number(target.split(':')[1])
  const call = (host: string, localPort?: number) => {
    const socket = connect({ port, host, localAddress: '127.0.0.1', ...(localPort && { localPort }) })
    const createConnection = () => socket
    return { socket, stream: rawCall(t, `${host}:${port}`, refsPath, request.refs, {}, { createConnection }) }
  }
  const first = call('127.0.0.1')
  await once(first.stream.resume(), 'close')
  t.same(askedBy, [0])
  const second = call('127.0.0.2', first.socket.localPort)
  await once(second.stream.resume(), 'close')
  t.equal(sockets.length, 2)
  t.same(askedBy, [0], 'the second is not served while the first is open')
})
