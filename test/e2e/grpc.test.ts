import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addPackedBranches, git, initBare, makeRepository } from '../support/repositories.js'
import { codeOf, errorOf, GrpcClient, type Message } from '../support/grpc-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

const service = 'refstream.v1.RefService'

async function setUp(t: Test, ...args: string[]) {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, { args: ['--grpc', '127.0.0.1:0', ...args] })
  return { root, repository, sidecar, client: new GrpcClient(t, sidecar.grpcTarget, service) }
}

t.test('an advertisement has the same bytes as over HTTP', async (t) => {
  const { repository, sidecar, client } = await setUp(t)
  addPackedBranches(repository, 5000)
  for (const protocol of [0, 1, 2]) {
    const headers = { 'Git-Protocol': `version=${protocol}` }
    const { body } = await ask(infoRefs(sidecar.url, 'r.git'), { headers })
    const bytes = await client.bytes('Advertise', { repository: 'r.git', protocol })
    t.ok(bytes.equals(body), `protocol v${protocol}`)
  }
  const upload = { command: 'upload-pack' }
  t.equal(
    await sidecar.metric('refstream_processes_started_total', upload),
    3,
    'both transports share one cache',
  )
  const labels = { transport: 'grpc', kind: 'advertisement' }
  t.equal(await sidecar.metric('refstream_requests_total', { ...labels, protocol: 'v2' }), 1)
  t.equal(await sidecar.metric('refstream_first_byte_seconds_count', { transport: 'grpc' }), 3)
  t.ok((await sidecar.metric('refstream_sent_bytes_total', { transport: 'grpc' })) > 600_000)
})

t.test('typed refs are those that Git lists', async (t) => {
  const { root, repository, client } = await setUp(t)
  addPackedBranches(repository, 5000)
  // Not UTF-8.
  const odd = Buffer.from('refs/heads/\xe9', 'latin1')
  const commit = git(repository, 'rev-parse', 'main')
  writeFileSync(Buffer.concat([Buffer.from(`${repository}/`), odd]), `${commit}\n`)
  git(repository, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
  const list = async (request: object): Promise<Message[]> => {
    const messages = await client.all('ListRefs', { repository: 'r.git', ...request })
    return messages.flatMap(({ refs }) => refs as Message[])
  }
  const show = ({ name, objectId, symrefTarget, peeled }: Message): string[] => [
    ...[(name as Buffer).toString('latin1'), objectId as string],
    ...[(symrefTarget as Buffer).toString(), peeled as string],
  ]
  const tag = git(repository, 'rev-parse', 'v1')
  const everything = { peel: true, symrefs: true, unborn: true }
  const all = (await list(everything)).map(show)
  const known = git(repository, 'for-each-ref', '--format=%(refname)').split('\n').length
  t.equal(all.length, known + 1, 'all refs, and HEAD')
  t.same(all[0], ['HEAD', commit, 'refs/heads/main', ''])
  const of = (name: string) => all.find(([each]) => each === name)
  t.same(of('refs/heads/alias'), ['refs/heads/alias', commit, 'refs/heads/main', ''])
  t.same(of('refs/heads/\xe9'), ['refs/heads/\xe9', commit, '', ''])
  t.same(of('refs/tags/v1'), ['refs/tags/v1', tag, '', commit])
  t.same((await list({ prefixes: [Buffer.from('refs/tags/')] })).map(show), [['refs/tags/v1', tag, '', '']])
  t.same((await list({ prefixes: [Buffer.from('HEAD'), odd] })).map(show), [
    ['HEAD', commit, '', ''],
    ['refs/heads/\xe9', commit, '', ''],
  ])
  t.same(await list({ prefixes: [Buffer.from('refs/none/')] }), [])

  initBare(root, 'empty.git', { objectFormat: 'sha256' })
  t.same((await list({ repository: 'empty.git', ...everything })).map(show), [
    ['HEAD', '', 'refs/heads/main', ''],
  ])
  t.same(await list({ repository: 'empty.git' }), [], 'an unborn HEAD is listed only on request')
})

t.test('an answer shows each push that had finished before the call', async (t) => {
  const { repository, client } = await setUp(t)
  for (let count = 1; count <= 20; count++) {
    git(repository, 'update-ref', `refs/heads/n${count}`, 'main')
    const messages = await client.all('ListRefs', { repository: 'r.git' })
    t.equal(messages.flatMap(({ refs }) => refs).length, 3 + count)
  }
})

t.test('the status says why a call cannot be answered', async (t) => {
  const { root, repository, sidecar, client } = await setUp(t)
  initBare(root, 'hidden.git', { exported: false })
  git(makeRepository(root, 'off.git'), 'config', 'http.uploadpack', 'false')
  for (const method of ['Advertise', 'ListRefs']) {
    const code = (request: object): Promise<string | undefined> => codeOf(client.all(method, request))
    t.equal(await code({ repository: 'none.git' }), 'NOT_FOUND')
    t.equal(await code({ repository: 'hidden.git' }), 'NOT_FOUND')
    t.equal(await code({ repository: 'off.git' }), 'PERMISSION_DENIED')
    for (const path of [
      '',
      '../r.git',
      'x/../r.git',
      './r.git',
      '/r.git',
      'r.git/',
      'a\0b',
      'x'.repeat(5000),
    ]) {
      t.equal(await code({ repository: path }), 'INVALID_ARGUMENT', JSON.stringify(path.slice(0, 20)))
    }
  }
  const third = await errorOf(client.all('Advertise', { repository: 'r.git', protocol: 3 }))
  t.match(third.details, /protocol must be 0, 1 or 2/)
  const hook = { repository: 'r.git', configOptions: ['uploadpack.packObjectsHook=touch x'] }
  t.match(
    (await errorOf(client.all('Advertise', hook))).message,
    /INVALID_ARGUMENT: .*"uploadpack\.packObjectsHook"/,
  )
  const huge = { repository: 'r.git', prefixes: [Buffer.alloc(2_000_000, 'x')] }
  t.equal(await codeOf(client.all('ListRefs', huge)), 'RESOURCE_EXHAUSTED')
  const counted = (outcome: string) =>
    sidecar.metric('refstream_requests_total', { transport: 'grpc', outcome })
  t.equal(await counted('not_found'), 4)
  t.equal(await counted('forbidden'), 2)
  t.equal(await counted('rejected'), 18)
  t.ok(repository)
})

t.test('an answer with the client’s own Git overrides is right and not shared', async (t) => {
  const { repository, sidecar, client } = await setUp(t)
  git(repository, 'update-ref', 'refs/secret/one', 'main')
  const names = async (...configOptions: string[]): Promise<boolean> => {
    const bytes = await client.bytes('Advertise', { repository: 'r.git', configOptions })
    t.match(bytes.toString(), /refs\/heads\/main/)
    return bytes.includes('refs/secret/one')
  }
  const hide = 'transfer.hideRefs=refs/secret'
  t.same([await names(), await names(hide), await names(), await names(hide)], [true, false, true, false])
  const counted = (outcome: string) =>
    sidecar.metric('refstream_requests_total', { transport: 'grpc', outcome })
  t.same([await counted('filled'), await counted('passthrough')], [1, 2])
  t.equal(await sidecar.metric('refstream_store_entries'), 1)
})

t.test('advertisements that differ from client to client are not shared', async (t) => {
  const { repository, client } = await setUp(t)
  git(repository, 'config', 'transfer.advertiseSID', 'true')
  const sessions = new Set<string | undefined>()
  for (let count = 0; count < 3; count++) {
    const bytes = await client.bytes('Advertise', { repository: 'r.git' })
    sessions.add(/session-id=(\S+)/.exec(bytes.toString())?.[1])
  }
  t.equal(sessions.size, 3)
  t.notOk(sessions.has(undefined))
})

t.test('gRPC is served on a Unix socket', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const target = `unix:${join(tempDir(t), 'grpc.sock')}`
  const sidecar = await startSidecar(t, root, { args: ['--grpc', target] })
  t.equal(sidecar.grpcTarget, target)
  const client = new GrpcClient(t, target, service)
  t.match((await client.bytes('Advertise', { repository: 'r.git' })).toString(), /refs\/heads\/main/)
  t.equal(await sidecar.stop(), 0)
})
