import t, { type Test } from 'tap'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import { plainHeaders, runHttpBackend, type PlainAnswer } from '../support/cgi.js'
import { fetchV0, fetchV2, readFetchAnswer, uploadPackHeaders } from '../support/posted-fetch.js'
import { ask, connect } from '../support/http-client.js'
import { makePackRepository } from '../support/pack-repository.js'
import { git, gitWith } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const root = tempDir(t)
const repository = makePackRepository(root, 'r.git')
makePackRepository(root, 'strict.git')
for (const [key, value] of [
  ['uploadpack.allowFilter', 'false'],
  ['uploadpack.allowAnySHA1InWant', 'false'],
  ['uploadpack.hideRefs', 'refs/heads/topic'],
] as const)
  git(join(root, 'strict.git'), 'config', key, value)
const id = (name: string): string => git(repository, 'rev-parse', name)
const [main, old, topic, tag] = [id('main'), id('main~10'), id('topic'), id('v1')]
const missing = '1234567890'.repeat(4)
const sidecar = await startSidecar(t, root)

interface Fetch {
  readonly body: Buffer
  /** 2 if left out. */
  readonly version?: 0 | 1 | 2
  readonly headers?: Record<string, string>
  readonly repository?: string
}

/** An answer; `whole` is false if its end is missing. */
type Answered = PlainAnswer & { readonly whole: boolean }

function byGit({ body, version = 2, headers = {}, repository = 'r.git' }: Fetch): Answered {
  let code: number | null = 0
  const answer = runHttpBackend(root, {
    target: `/${repository}/git-upload-pack`,
    gitProtocol: version === 0 ? undefined : `version=${version}`,
    method: 'POST',
    headers: { ...uploadPackHeaders, 'content-length': String(body.length), ...headers },
    body,
    ended: (exitCode) => (code = exitCode),
  })
  // An error message ends an answer, whatever Git's exit code is.
  return { ...answer, whole: code === 0 || ['ERR ', '\x03'].some((sign) => answer.body.includes(sign)) }
}

async function bySidecar({
  body,
  version = 2,
  headers = {},
  repository = 'r.git',
}: Fetch): Promise<Answered> {
  const protocol = version === 0 ? {} : { 'git-protocol': `version=${version}` }
  const url = `${sidecar.url}/${repository}/git-upload-pack`
  const all = { ...uploadPackHeaders, ...protocol, ...headers }
  const broken = { status: 0, headers: [], body: '', whole: false }
  return ask(url, { method: 'POST', headers: all, body }).then(
    ({ status, rawHeaders, body: bytes }) => ({
      ...{ status, headers: plainHeaders(status, rawHeaders) },
      ...{ body: bytes.toString('latin1'), whole: true },
    }),
    () => broken,
  )
}

/** Checks that an answer without a pack is Git's own, byte for byte, from a cold cache and from a warm one. */
async function same(t: Test, what: string, fetch: Fetch): Promise<void> {
  const expected = byGit(fetch)
  for (const cache of ['cold', 'warm']) {
    const answer = await bySidecar(fetch)
    if (expected.whole) t.same(answer, expected, `${what}, ${cache}`)
    else t.equal(answer.whole && answer.status === 200, false, `${what}, ${cache}: cut short, as by Git`)
  }
}

const v2 = (...args: string[]): Fetch => ({ body: fetchV2(args) })
const raw = (...parts: (string | Buffer)[]): Fetch => ({
  body: Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))),
})
const command = Buffer.concat([pktLine('command=fetch'), Buffer.from('0001')])

const withoutPack: Record<string, Fetch> = {
  'a want that does not exist': v2(`want ${missing}`, 'done'),
  'a want without done': v2(`want ${missing}`),
  'no want': v2('done'),
  'no argument': v2(),
  'a want that is no object id': v2('want main', 'done'),
  'a want that is too short': v2(`want ${main.slice(0, 20)}`, 'done'),
  'an unknown argument': v2('frobnicate', `want ${main}`, 'done'),
  'a filter that is unknown': v2('filter nonsense', `want ${main}`, 'done'),
  'a filter that is not allowed': {
    ...v2('filter blob:none', `want ${main}`, 'done'),
    repository: 'strict.git',
  },
  'a ref that may not be wanted by name': v2('want-ref refs/heads/main', 'done'),
  'a depth that is none': v2('deepen x', `want ${main}`, 'done'),
  'a depth of zero': v2('deepen 0', `want ${main}`, 'done'),
  'two ways to deepen': v2('deepen 1', 'deepen-since 1580000000', `want ${main}`, 'done'),
  'deepen-since with nothing that is so young': v2('deepen-since 4000000000', `want ${main}`, 'done'),
  'deepen-not of what is no ref': v2('deepen-not nothing', `want ${main}`, 'done'),
  'a shallow line that is none': v2('shallow x', `want ${main}`, 'done'),
  'an unknown have, not done': v2(`want ${main}`, `have ${missing}`),
  'a known have that is not enough, not done': v2(`want ${topic}`, `have ${missing}`, `have ${id('main~5')}`),
  'haves and wait-for-done': v2('wait-for-done', `want ${main}`, `have ${old}`),
  'an unknown command': raw(pktLine('command=frobnicate'), '0000'),
  'no command': raw(pktLine('agent=git/1'), '0000'),
  'two commands': raw(pktLine('command=fetch'), command, pktLine(`want ${main}`), pktLine('done'), '0000'),
  'an unknown capability': raw(
    pktLine('command=fetch'),
    pktLine('frobnicate=1'),
    '0001',
    pktLine('done'),
    '0000',
  ),
  'a server option that was not offered': raw(
    ...[pktLine('command=fetch'), pktLine('server-option=x'), '0001'],
    ...[pktLine(`want ${missing}`), pktLine('done'), '0000'],
  ),
  'another object format': { body: fetchV2([`want ${main}`, 'done'], ['object-format=sha256']) },
  'an unknown object format': { body: fetchV2([`want ${main}`, 'done'], ['object-format=x']) },
  'a packet that is cut': raw(command, '0032want '),
  'no flush packet at the end': raw(command, pktLine(`want ${missing}\n`), pktLine('done\n')),
  'a length that is none': raw(command, 'zzzz'),
  garbage: raw('garbage'),
  'an empty body': raw(''),
  'a flush packet': raw('0000'),
  'v0: a want that is not advertised': { version: 0, body: fetchV0(missing) },
  'v0: a want that is hidden': { version: 0, body: fetchV0(topic), repository: 'strict.git' },
  'v1: a want that is not advertised': { version: 1, body: fetchV0(missing) },
  'v0: a round without done': {
    version: 0,
    body: Buffer.concat([
      fetchV0(main, [`have ${missing}`, `have ${old}`], 'multi_ack_detailed side-band-64k'),
      flushPacket,
    ]),
  },
  'v0: an unknown capability and want': { version: 0, body: fetchV0(missing, ['done'], 'frobnicate') },
  'v0: no want': { version: 0, body: Buffer.from('0000') },
  'v0: garbage': { version: 0, body: Buffer.from('garbage') },
  'a wrong content type': { ...v2(`want ${main}`, 'done'), headers: { 'content-type': 'text/plain' } },
  'a repository that is not there': { ...v2(`want ${main}`, 'done'), repository: 'nothing.git' },
}

t.test('answers without a pack are byte for byte those of git http-backend', async (t) => {
  for (const [what, fetch] of Object.entries(withoutPack)) await same(t, what, fetch)
})

/** Returns the ids of a pack's objects. Of a thin pack, whose bases are elsewhere, only their number is known. */
function objectsIn(t: Test, pack: Buffer): string {
  const path = tempDir(t)
  git(path, 'init', '--quiet', '--bare')
  writeFileSync(join(path, 'objects/info/alternates'), `${join(repository, 'objects')}\n`)
  const count = pack.length === 0 ? 0 : pack.readUInt32BE(8)
  const stored = gitWith({ cwd: path, input: pack }, 'index-pack', '--strict', '--fix-thin', '--stdin')
  const [, name = ''] = stored.split('\t')
  const index = readFileSync(join(path, `objects/pack/pack-${name}.idx`))
  const listed = gitWith({ cwd: path, input: index }, 'show-index').split('\n')
  const ids = listed.map((line) => line.split(' ')[1]).sort()
  return ids.length === count ? ids.join('\n') : `${count} objects`
}

/** Returns of an answer what is always the same: its head, the objects in its pack, and all packets but progress. */
function described(t: Test, { body, ...answer }: Answered) {
  const { pack, packets } = readFetchAnswer(Buffer.from(body, 'latin1'))
  return { ...answer, packets, objects: objectsIn(t, pack) }
}

const gzipped = (fetch: Fetch, encoding = 'gzip'): Fetch => {
  const body = gzipSync(fetch.body)
  return { ...fetch, body, headers: { 'content-encoding': encoding, 'content-length': String(body.length) } }
}
const v0 = (...request: Parameters<typeof fetchV0>): Fetch => ({ version: 0, body: fetchV0(...request) })
/** More than 1 MiB of haves, none of which is known. */
const manyHaves = Array.from({ length: 22_000 }, (_, index) => `have ${String(index).padStart(40, '0')}`)

const withPack: Record<string, Fetch> = {
  'a commit': v2('ofs-delta', `want ${main}`, 'done'),
  'many wants': v2('ofs-delta', `want ${main}`, `want ${topic}`, `want ${tag}`, 'done'),
  'a tree and a blob': v2(`want ${id('main^{tree}')}`, `want ${id('main:CHANGES')}`, 'done'),
  'a hidden ref': { ...v2(`want ${topic}`, 'done'), repository: 'strict.git' },
  'include-tag': v2('include-tag', `want ${main}`, 'done'),
  'haves and done': v2('thin-pack', 'ofs-delta', `want ${main}`, `have ${old}`, 'done'),
  'haves that are enough': v2('ofs-delta', `want ${main}`, `have ${old}`),
  'a depth': v2('deepen 3', `want ${main}`, 'done'),
  'a deeper one': v2('deepen 2', 'deepen-relative', `shallow ${old}`, `want ${main}`, `have ${old}`, 'done'),
  'deepen-since': v2('deepen-since 1581552000', `want ${main}`, 'done'),
  'deepen-not': v2('deepen-not refs/tags/v1', `want ${main}`, 'done'),
  'a filter': v2('filter blob:none', `want ${main}`, 'done'),
  'a filter and a depth': v2('filter tree:0', 'deepen 1', `want ${main}`, 'done'),
  'no progress': v2('no-progress', `want ${main}`, 'done'),
  'a repeated want': v2(`want ${main}`, `want ${main}`, 'done'),
  'packfile-uris': v2('packfile-uris https', `want ${main}`, 'done'),
  'more than 1 MiB': v2('ofs-delta', `want ${main}`, ...manyHaves, 'done'),
  gzip: gzipped(v2(`want ${main}`, 'done')),
  'x-gzip': gzipped(v2(`want ${main}`, 'done'), 'x-gzip'),
  'gzip of more than 1 MiB': gzipped(v2('ofs-delta', `want ${main}`, ...manyHaves, 'done')),
  v0: v0(main),
  'v0: a depth': { version: 0, body: withDepth(main) },
  'v0: haves': v0(main, [`have ${old}`, 'done'], 'multi_ack_detailed no-done side-band-64k ofs-delta'),
  'v0: haves with gzip': gzipped(v0(main, [`have ${old}`, 'done'], 'multi_ack side-band-64k')),
  v1: { version: 1, body: fetchV0(main) },
}

/** Returns a fetch in protocol v0 of one commit without its history. */
function withDepth(want: string): Buffer {
  const lines = [`want ${want} side-band-64k ofs-delta shallow\n`, 'deepen 1\n'].map(pktLine)
  return Buffer.concat([...lines, flushPacket, pktLine('done\n')])
}

t.test(
  'answers with a pack have the head, the packets and the objects of those of git http-backend',
  async (t) => {
    for (const [what, fetch] of Object.entries(withPack)) {
      const expected = described(t, byGit(fetch))
      t.ok(expected.objects.length > 0, what)
      for (const cache of ['cold', 'warm']) {
        t.same(described(t, await bySidecar(fetch)), expected, `${what}, ${cache}`)
      }
    }
  },
)

t.test('a pack without side-band is the same', async (t) => {
  const fetch = v0(main, ['done'], 'ofs-delta')
  const [expected, answer] = [byGit(fetch), await bySidecar(fetch)]
  t.equal(answer.body.slice(0, 16), expected.body.slice(0, 16))
  const pack = (body: string): string => objectsIn(t, Buffer.from(body, 'latin1').subarray(8))
  t.equal(pack(answer.body), pack(expected.body))
})

t.test('a server option reaches Git where it is offered', async (t) => {
  const body = fetchV2([`want ${main}`, 'done'], ['object-format=sha1', 'server-option=one'])
  t.same(described(t, await bySidecar({ body })), described(t, byGit({ body })))
  t.equal((await sidecar.metric('refstream_packs_passed_total', { reason: 'arguments' })) > 0, true)
})

t.test('chunked bodies, in pieces, and after 100-continue, get the same pack', async (t) => {
  const body = fetchV2(['ofs-delta', `want ${main}`, 'done'])
  const expected = described(t, byGit({ body }))
  const ways: Record<string, Record<string, string>> = {
    chunked: { 'transfer-encoding': 'chunked' },
    '100-continue': { expect: '100-continue', 'content-length': String(body.length) },
  }
  for (const [what, headers] of Object.entries(ways)) {
    t.same(described(t, await bySidecar({ body, headers })), expected, what)
  }
  const socket = connect(sidecar.url)
  const head = `POST /r.git/git-upload-pack HTTP/1.0\r\nGit-Protocol: version=2\r\n`
  socket.write(
    `${head}Content-Type: ${uploadPackHeaders['content-type']}\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  for (const byte of body) socket.write(Buffer.of(byte))
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const answer = Buffer.concat(chunks)
  const { pack } = readFetchAnswer(answer.subarray(answer.indexOf('\r\n\r\n') + 4))
  t.equal(objectsIn(t, pack), expected.objects, 'HTTP/1.0, byte by byte')
})

t.test('a body that is longer than 1 MiB, of another shape or damaged is counted as passed', async (t) => {
  const passed = (reason: string): Promise<number> =>
    sidecar.metric('refstream_packs_passed_total', { reason })
  for (const reason of ['arguments', 'malformed', 'raw', 'size']) t.ok((await passed(reason)) > 0, reason)
  const body = gzipSync(fetchV2([`want ${main}`, 'done']))
  body.writeUInt8(body.readUInt8(body.length - 20) ^ 0xff, body.length - 20)
  await same(t, 'a damaged gzip body', { body, headers: { 'content-encoding': 'gzip' } })
  t.equal(await sidecar.metric('refstream_processes_running'), 0)
})
