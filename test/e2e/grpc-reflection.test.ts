import t from 'tap'
import { once } from 'node:events'
import {
  credentials,
  loadPackageDefinition,
  type ClientDuplexStream,
  type GrpcObject,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { loadFileDescriptorSetFromBuffer, loadSync } from '@grpc/proto-loader'
import { protoPath as healthProto } from 'grpc-health-check'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { codeOf, errorOf, GrpcClient, type Message } from '../support/grpc-client.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

const reflectionProto = join(
  dirname(createRequire(import.meta.url).resolve('@grpc/reflection')),
  '../proto/grpc/reflection/v1/reflection.proto',
)
const reflection = loadSync(reflectionProto, { oneofs: true })
const health = loadSync(healthProto, { enums: String, defaults: true })[
  'grpc.health.v1.Health'
] as ServiceDefinition

/** Calls the reflection service, as grpcurl does. */
async function ask(target: string, request: object): Promise<Message> {
  const { grpc } = loadPackageDefinition(reflection) as { grpc: GrpcObject }
  const { ServerReflection } = (grpc['reflection'] as GrpcObject)['v1'] as GrpcObject
  type Reflect = { ServerReflectionInfo: () => ClientDuplexStream<object, Message>; close: () => void }
  const client = new (ServerReflection as unknown as new (...args: unknown[]) => Reflect)(
    ...[target, credentials.createInsecure()],
  )
  const stream = client.ServerReflectionInfo()
  try {
    stream.write(request)
    const [answer] = (await once(stream, 'data')) as [Message]
    return answer
  } finally {
    stream.on('error', () => {}).cancel()
    client.close()
  }
}

/** A FileDescriptorSet: field 1, repeated. */
function descriptorSet(files: readonly Buffer[]): Buffer {
  const varint = (value: number): number[] =>
    value < 0x80 ? [value] : [(value % 0x80) + 0x80, ...varint(Math.floor(value / 0x80))]
  return Buffer.concat(files.flatMap((file) => [Buffer.from([0x0a, ...varint(file.length)]), file]))
}

async function setUp(t: Test, ...args: string[]) {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, {
    args: ['--grpc', '127.0.0.1:0', '--git', wrapper.path, ...args],
  })
  return { wrapper, sidecar, target: sidecar.grpcTarget }
}

t.test('a client that knows only the reflection service lists the services and calls them', async (t) => {
  const { target } = await setUp(t)
  const { listServicesResponse } = await ask(target, { listServices: '*' })
  const names = (listServicesResponse as { service: { name: string }[] }).service.map(({ name }) => name)
  t.same(names.sort(), [
    ...['gitaly.SmartHTTPService', 'grpc.health.v1.Health'],
    ...['refstream.v1.CacheService', 'refstream.v1.LeaseService', 'refstream.v1.RefService'],
  ])
  for (const [service, method, request] of [
    ['refstream.v1.RefService', 'Advertise', { repository: 'r.git' }],
    [
      'gitaly.SmartHTTPService',
      'InfoRefsUploadPack',
      { repository: { storageName: 'default', relativePath: 'r.git' } },
    ],
  ] as const) {
    const { fileDescriptorResponse } = await ask(target, { fileContainingSymbol: service })
    const { fileDescriptorProto } = fileDescriptorResponse as { fileDescriptorProto: Buffer[] }
    const found = loadFileDescriptorSetFromBuffer(descriptorSet(fileDescriptorProto))
    const client = new GrpcClient(t, target, found[service] as ServiceDefinition)
    t.match((await client.bytes(method, request)).toString(), /refs\/heads\/main/, service)
  }
  const lease = await ask(target, { fileContainingSymbol: 'refstream.v1.LeaseService' })
  const files = (lease['fileDescriptorResponse'] as { fileDescriptorProto: Buffer[] }).fileDescriptorProto
  const { 'refstream.v1.LeaseService': leases } = loadFileDescriptorSetFromBuffer(descriptorSet(files))
  const client = new GrpcClient(t, target, leases as ServiceDefinition)
  t.ok((await client.unary('Acquire', { repository: 'r.git', ttl: { seconds: 1 } }))['id'])
})

t.test('--no-grpc-reflection: the reflection service is not offered', async (t) => {
  const { target } = await setUp(t, '--no-grpc-reflection')
  t.equal(await codeOf(ask(target, { listServices: '*' })), 'UNIMPLEMENTED')
  const client = new GrpcClient(t, target, 'refstream.v1.RefService')
  t.match((await client.bytes('Advertise', { repository: 'r.git' })).toString(), /refs\/heads\/main/)
})

t.test('health is SERVING until a shutdown begins', async (t) => {
  const { wrapper, sidecar, target } = await setUp(t)
  const client = new GrpcClient(t, target, health)
  for (const service of ['', 'refstream.v1.RefService', 'gitaly.SmartHTTPService']) {
    t.match(await client.unary('Check', { service }), { status: 'SERVING' }, service)
  }
  t.equal(await codeOf(client.unary('Check', { service: 'none' })), 'NOT_FOUND')
  const watch = client.stream('Watch', { service: '' })
  const seen: unknown[] = []
  watch.on('data', ({ status }: Message) => seen.push(status))
  const end = errorOf(once(watch, 'end'))
  await eventually('the first status has come', () => seen.length === 1)
  wrapper.plan(plans.wait)
  const refs = new GrpcClient(t, target, 'refstream.v1.RefService')
  const answer = refs.bytes('Advertise', { repository: 'r.git' })
  await eventually('a call is under way', async () => {
    return (await sidecar.metric('refstream_processes_running')) === 1
  })
  const exit = sidecar.stop()
  t.match((await end).message, /UNAVAILABLE/, 'a Watch call does not delay the shutdown')
  t.same(seen, ['SERVING', 'NOT_SERVING'])
  wrapper.signal('go')
  t.ok((await answer).length > 0)
  t.equal(await exit, 0)
})
