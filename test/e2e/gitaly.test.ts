import t from 'tap'
import { mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { addPackedBranches, git, gitWith, makeCommit, makeRepository } from '../support/repositories.js'
import { codeOf, errorOf, GrpcClient } from '../support/grpc-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

/** Field numbers of Gitaly's messages. */
interface Repository {
  readonly 2?: string
  readonly 3?: string
  readonly 4?: string
  readonly 5?: readonly string[]
  readonly 6?: string
  readonly 8?: string
}
interface InfoRefs {
  readonly 1?: Repository
  readonly 2?: readonly string[]
  readonly 3?: string
}

/** Length-delimited fields on the wire (protobuf, "Encoding"). */
function encode(fields: object): Buffer {
  const parts: Buffer[] = []
  for (const [number, value] of Object.entries(fields) as [string, unknown][]) {
    for (const each of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const bytes = typeof each === 'string' ? Buffer.from(each) : encode(each as object)
      parts.push(Buffer.from([Number(number) * 8 + 2, ...varint(bytes.length)]), bytes)
    }
  }
  return Buffer.concat(parts)
}

const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value % 0x80) + 0x80, ...varint(Math.floor(value / 0x80))]

/** Returns the bytes of field 1. @throws if the message has another field */
function decode(message: Buffer): { data: Buffer } {
  let at = 1
  while ((message[at] ?? 0) >= 0x80) at++
  const data = message.subarray(at + 1)
  if (message[0] !== 8 + 2 || !message.subarray(1, at + 1).equals(Buffer.from(varint(data.length)))) {
    throw new Error('not a message of field 1 alone')
  }
  return { data }
}

const definition: ServiceDefinition = {
  InfoRefsUploadPack: {
    path: '/gitaly.SmartHTTPService/InfoRefsUploadPack',
    requestStream: false,
    responseStream: true,
    requestSerialize: encode,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: decode,
  },
}

async function setUp(t: Test, ...args: string[]) {
  const root = tempDir(t)
  const repository = makeRepository(root, '@hashed/r.git')
  const sidecar = await startSidecar(t, root, { args: ['--grpc', '127.0.0.1:0', ...args] })
  const client = new GrpcClient(t, sidecar.grpcTarget, definition)
  const call = (request: InfoRefs): Promise<Buffer> => client.bytes('InfoRefsUploadPack', request)
  return { root, repository, sidecar, call }
}

const at: Repository = { 2: 'default', 3: '@hashed/r.git', 6: 'project-1', 8: 'group/project' }
const banner = '001e# service=git-upload-pack\n0000'

t.test(
  'a client with Gitaly’s field numbers gets the advertisement, with the service line first',
  async (t) => {
    const { repository, sidecar, call } = await setUp(t)
    addPackedBranches(repository, 5000)
    for (const version of [0, 1, 2]) {
      const said = `version=${version}`
      const { body } = await ask(infoRefs(sidecar.url, '@hashed/r.git'), {
        headers: { 'Git-Protocol': said },
      })
      const expected = version === 2 ? Buffer.concat([Buffer.from(banner), body]) : body
      t.ok(expected.toString().startsWith(banner))
      t.ok((await call({ 1: at, 3: said })).equals(expected), said)
    }
    t.equal(await sidecar.metric('refstream_processes_started_total', { command: 'upload-pack' }), 3)
  },
)

t.test('an answer with config options is right and not shared', async (t) => {
  const { repository, sidecar, call } = await setUp(t)
  git(repository, 'update-ref', 'refs/secret/one', 'main')
  const hidden = async (...options: string[]): Promise<boolean> => {
    const bytes = await call({ 1: at, ...(options.length > 0 ? { 2: options } : {}) })
    t.match(bytes.toString(), /refs\/heads\/main/)
    return !bytes.includes('refs/secret/one')
  }
  const hide = 'uploadpack.hideRefs=refs/secret'
  t.equal(await hidden(), false)
  t.equal(await hidden(hide), true)
  t.equal(await hidden(), false)
  t.equal(await hidden(hide, 'uploadpackfilter.blob:none.allow=true'), true)
  const filter = (await call({ 1: at, 2: ['uploadpack.allowFilter'] })).toString()
  t.match(filter, / filter /)
  t.equal(await sidecar.metric('refstream_store_entries'), 1)
  const v2 = (await call({ 1: at, 2: ['uploadpack.allowFilter=true'], 3: 'version=2' })).toString()
  t.ok(v2.startsWith(`${banner}000eversion 2\n`))
  t.match(v2, /fetch=.*filter/)
  for (const option of [
    'uploadpack.packObjectsHook=touch x',
    'core.fsmonitor=touch x',
    'include.path=/etc/passwd',
  ]) {
    const { message } = await errorOf(call({ 1: at, 2: [option] }))
    t.ok(message.includes('INVALID_ARGUMENT') && message.includes(option.split('=')[0] ?? ''), message)
  }
})

t.test('objects in a quarantine directory are seen only by calls that name it', async (t) => {
  const { repository, sidecar, call } = await setUp(t)
  // An annotated tag whose object is only in the quarantine is peeled only in calls that name it.
  const before = new Set(objects(repository))
  const commit = makeCommit(repository, 'quarantined')
  git(repository, 'tag', '-a', '-m', 'q', 'quarantined', commit)
  const added = objects(repository).filter((path) => !before.has(path))
  for (const path of added) {
    mkdirSync(join(repository, 'objects/incoming-1', path.slice(0, 2)), { recursive: true })
    renameSync(join(repository, 'objects', path), join(repository, 'objects/incoming-1', path))
  }
  const quarantine: Repository = { ...at, 4: 'objects/incoming-1', 5: ['objects'] }
  t.match((await call({ 1: quarantine })).toString(), new RegExp(`${commit} refs/tags/quarantined\\^\\{\\}`))
  t.notMatch((await call({ 1: at })).toString(), new RegExp(`${commit} `))
  t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'passthrough' }), 1)

  symlinkSync(tempDir(t), join(repository, 'objects/out'))
  for (const path of [
    '../other.git/objects',
    '/etc',
    'objects/out',
    'objects/none',
    'objects/../refs',
    '.',
  ]) {
    t.equal(await codeOf(call({ 1: { ...at, 4: path } })), 'INVALID_ARGUMENT', path)
    t.equal(await codeOf(call({ 1: { ...at, 5: ['objects', path] } })), 'INVALID_ARGUMENT', path)
  }
})

function objects(repository: string): string[] {
  const listed = gitWith(
    { cwd: repository },
    'cat-file',
    '--batch-all-objects',
    '--batch-check=%(objectname)',
  )
  return listed.split('\n').map((id) => `${id.slice(0, 2)}/${id.slice(2)}`)
}

t.test('repositories are found by the name of their storage; by default it is the root', async (t) => {
  const { call } = await setUp(t)
  const other = await errorOf(call({ 1: { ...at, 2: 'other' } }))
  t.match(other.message, /INVALID_ARGUMENT: there is no storage "other"/)
  t.equal(await codeOf(call({})), 'INVALID_ARGUMENT')
  t.equal(await codeOf(call({ 1: { 2: 'default' } })), 'INVALID_ARGUMENT')
  t.equal(await codeOf(call({ 1: { ...at, 3: '../r.git' } })), 'INVALID_ARGUMENT')
  t.equal(await codeOf(call({ 1: { ...at, 3: '@hashed/none.git' } })), 'NOT_FOUND')

  const named = await setUp(t, '--gitaly-storages', 'nfs-1=@hashed,all=.')
  const found = async (repository: Repository) =>
    (await named.call({ 1: repository })).includes('refs/heads/main')
  t.ok(await found({ 2: 'nfs-1', 3: 'r.git' }))
  t.ok(await found({ 2: 'all', 3: '@hashed/r.git' }))
  t.equal(await codeOf(named.call({ 1: at })), 'INVALID_ARGUMENT', 'default is not among the named storages')
  t.equal(await codeOf(named.call({ 1: { 2: 'nfs-1', 3: '../@hashed/r.git' } })), 'INVALID_ARGUMENT')
})
