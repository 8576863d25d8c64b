import t from 'tap'
import { once } from 'node:events'
import { copyFileSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { credentials, status, type ServiceError } from '@grpc/grpc-js'
import { Authority, type Pair } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { codeOf, errorOf, GrpcClient, rawCall, type Identity } from '../support/grpc-client.js'
import { run } from '../support/hooked.js'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const repository = 'r.git'
const grpc = ['--grpc', 'tls:127.0.0.1:0']

t.test('TLS, with clients known by the names in their certificates', async (t) => {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  addPackedBranches(makeRepository(root, repository), 20_000)
  makeRepository(root, 'alice.git')
  const authority = new Authority(t)
  const san = 'DNS:localhost,IP:127.0.0.1'
  const server = authority.issue({ san })
  const names = join(work, 'names')
  writeFileSync(names, 'alice\nci-*\n')
  const sidecar = await startSidecar(t, root, {
    args: [
      ...[...grpc, '--tls-cert', server.cert, '--tls-key', server.key],
      ...['--tls-client-ca', authority.cert, '--tls-client-names', names],
      ...['--access', 'alice.git=read:alice, **=read:*'],
    ],
  })
  const ca = readFileSync(authority.cert)
  const speaking = (own?: Pair, roots: Buffer | null = ca): Identity => ({
    credentials: own
      ? credentials.createSsl(roots, readFileSync(own.key), readFileSync(own.cert))
      : credentials.createSsl(roots),
  })
  const options = { 'grpc.ssl_target_name_override': 'localhost' }
  const client = (identity: Identity, service = 'RefService') =>
    new GrpcClient(t, sidecar.grpcTarget, `refstream.v1.${service}`, options, identity)
  const read = (identity: Identity, path = 'alice.git') =>
    client(identity).bytes('Advertise', { repository: path })
  const [alice, ci, mallory] = ['alice', 'ci-1', 'mallory'].map((name) => authority.issue({ name }))

  t.match((await read(speaking(alice))).toString(), /refs\/heads\/main/)
  t.equal(
    await codeOf(read(speaking(ci))),
    'PERMISSION_DENIED',
    'the rules apply to the name in the certificate',
  )
  for (const [title, identity] of Object.entries({
    'without a certificate': speaking(),
    'with another name': speaking(mallory),
    'with another authority’s certificate': speaking(new Authority(t).issue({ name: 'alice' })),
    'with one that has expired': speaking(authority.issue({ name: 'alice', days: -1 })),
    'that does not trust the authority': speaking(alice, null),
    'without TLS': {},
  })) {
    t.equal(await codeOf(read(identity)), 'UNAVAILABLE', title)
  }

  const hold = async (own: Pair | undefined) => {
    const call = client(speaking(own), 'LeaseService').stream('Hold', { repository })
    await once(call, 'data')
    return call
  }
  const [cut, kept] = [await hold(alice), await hold(ci)]
  const ended = once(cut, 'error') as Promise<[ServiceError]>
  const keptEnds: unknown[] = []
  kept.on('error', (error) => keptEnds.push(error)).on('end', () => keptEnds.push('end'))
  const stream = rawCall(
    ...([t, sidecar.grpcTarget, '/refstream.v1.RefService/Advertise', { repository }, {}] as const),
    { servername: 'localhost', ca, cert: readFileSync(alice!.cert), key: readFileSync(alice!.key) },
  )
  let trailers: unknown
  stream.on('trailers', (fields) => {
    trailers = fields
  })
  const closed = new Promise((resolve) => stream.once('close', resolve))
  await once(stream, 'data')
  stream.pause()
  writeFileSync(names, 'ci-*\n')
  process.kill(sidecar.pid, 'SIGHUP')
  t.equal(
    (await ended)[0].code,
    status.UNAVAILABLE,
    'a client that was removed from the list is disconnected',
  )
  stream.resume()
  await closed
  t.equal(trailers, undefined, 'it gets no status that could be OK')
  const letGo = () => sidecar.metric('refstream_leases_ended_total', { end: 'changed' })
  await eventually('its lease has ended', async () => (await letGo()) === 1)
  t.equal(await codeOf(read(speaking(alice))), 'UNAVAILABLE')
  t.ok((await read(speaking(ci), repository)).length > 1_000_000)
  t.same(keptEnds, [], 'a client that is still allowed goes on')

  const expired = authority.issue({ san, days: -1 })
  copyFileSync(expired.cert, server.cert)
  copyFileSync(expired.key, server.key)
  process.kill(sidecar.pid, 'SIGHUP')
  const complaint = (): Promise<string> =>
    read(speaking(ci)).then(
      () => '',
      (error: unknown) => (error as ServiceError).details,
    )
  await eventually('clients refuse the certificate', async () =>
    /certificate has expired/.test(await complaint()),
  )
  kept.cancel()
})

t.test('without admin tokens, clients of other machines get data only', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, repository)
  const open = ['--grpc', '0.0.0.0:0']
  const flags = ['serve', '--root', root, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', ...open]
  const refused = await run({ cwd: root, environment: cleanEnvironment }, process.execPath, program, ...flags)
  t.match(refused, {
    status: 2,
    output: /--grpc: a public address needs .*--insecure-no-auth/,
  })

  const sidecar = await startSidecar(t, root, { args: [...open, '--insecure-no-auth'] })
  const target = sidecar.grpcTarget.replace('0.0.0.0', '127.0.0.1')
  const client = (service: string) => new GrpcClient(t, target, `refstream.v1.${service}`)
  await t.resolves(client('RefService').all('ListRefs', { repository }))
  const [leases, cache] = [client('LeaseService'), client('CacheService')]
  for (const call of adminCalls(leases, cache, 'x')) {
    const error = await errorOf(call())
    t.match([status[error.code], error.details], ['PERMISSION_DENIED', /--admin-token-file/])
  }
  t.equal(await sidecar.metric('refstream_leases_opened_total'), 0)
})

/** One call of each method for mutators and operators. */
function adminCalls(leases: GrpcClient, cache: GrpcClient, id: unknown): (() => Promise<unknown>)[] {
  const ttl = { seconds: 60 }
  return [
    () => leases.unary('Acquire', { repository, ttl }),
    () => leases.unary('Renew', { id }),
    () => leases.unary('Release', { id }),
    () => leases.all('Hold', { repository }),
    () => cache.unary('Invalidate', { repository }),
    () => cache.unary('Stat', { repository }),
  ]
}
