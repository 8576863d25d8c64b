import t from 'tap'
import zlib, { gunzipSync } from 'node:zlib'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, infoRefs, type Answer } from '../support/http-client.js'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

async function setUp(t: Test, ...args: string[]) {
  const root = tempDir(t)
  const repository = makeRepository(root, 'large.git')
  addPackedBranches(repository, 5000)
  makeRepository(root, 'small.git')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path, ...args] })
  const get = (name: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> =>
    ask(infoRefs(sidecar.url, `${name}.git`), { headers, method })
  return { repository, wrapper, sidecar, get }
}

const accepting = { 'Accept-Encoding': 'deflate, gzip' }
/** zstd came with Node 22.15. */
const preferred = 'createZstdCompress' in zlib ? 'zstd' : 'gzip'

t.test('a large entry is compressed once, and no request waits for it', async (t) => {
  const { sidecar, get } = await setUp(t)
  const cold = await get('large', accepting)
  t.equal(cold.headers['content-encoding'], undefined, 'a growing entry is sent uncompressed')
  let zipped = await get('large', accepting)
  await eventually('the compressed form is ready', async () => {
    zipped = await get('large', accepting)
    return zipped.headers['content-encoding'] === 'gzip'
  })
  t.equal(zipped.headers.vary, 'Accept-Encoding')
  t.same(gunzipSync(zipped.body), cold.body, 'the same bytes')
  t.ok(zipped.body.length < cold.body.length / 2)
  t.equal(Number(zipped.headers['content-length']), zipped.body.length)
  t.equal(
    await sidecar.metric('refstream_compression_saved_bytes_total'),
    cold.body.length - zipped.body.length,
  )
  const head = await get('large', accepting, 'HEAD')
  t.equal(Number(head.headers['content-length']), zipped.body.length)
  t.equal(head.body.length, 0)

  for (const header of ['', 'identity', 'br', 'gzip;q=0', 'deflate', 'gzip;q=0, zstd;q=0, *']) {
    const plain = await get('large', { 'Accept-Encoding': header })
    t.equal(plain.headers['content-encoding'], undefined, `${header}: uncompressed`)
    t.equal(plain.headers.vary, undefined, 'without headers that Git does not send')
    t.same(plain.body, cold.body)
  }
  await eventually('the preferred form is ready', async () => {
    return (await get('large', { 'Accept-Encoding': '*' })).headers['content-encoding'] === preferred
  })
})

t.test('a small entry has no header that Git would not send', async (t) => {
  const { sidecar, get } = await setUp(t)
  await get('small', accepting)
  await eventually(
    'the entry is committed',
    async () => (await sidecar.metric('refstream_store_entries')) === 1,
  )
  const { rawHeaders } = await get('small', accepting)
  const names = rawHeaders.filter((_, index) => index % 2 === 0)
  const own = names.filter((name) => !['Date', 'Connection', 'Keep-Alive', 'Content-Length'].includes(name))
  t.same(own, ['Expires', 'Pragma', 'Cache-Control', 'Content-Type'])
})

t.test('compression can be switched off', async (t) => {
  const { get } = await setUp(t, '--no-compression')
  for (let round = 0; round < 3; round++) {
    const { headers } = await get('large', accepting)
    t.equal(headers['content-encoding'], undefined)
    t.equal(headers.vary, undefined)
  }
})

t.test('after a change, no answer comes from the compressed form of the old entry', async (t) => {
  const { repository, get } = await setUp(t)
  await eventually('compressed', async () => {
    return (await get('large', accepting)).headers['content-encoding'] === 'gzip'
  })
  git(repository, 'update-ref', 'refs/heads/zz-new', 'refs/heads/main')
  const { body, headers } = await get('large', accepting)
  const text = headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
  t.match(text.toString(), / refs\/heads\/zz-new\n/)
})

t.test('a request with If-None-Match gets an ETag, and 304 until something changes', async (t) => {
  const { repository, wrapper, get } = await setUp(t)
  t.equal((await get('small')).headers.etag, undefined, 'no ETag for Git’s clients')
  wrapper.plan(plans.pause(1))
  const growing = get('large', { 'If-None-Match': '"unknown"' })
  await eventually('Git pauses', () => wrapper.hasFile('paused'))
  wrapper.signal('go')
  const first = await growing
  t.equal(first.status, 200)
  const tag = first.headers.etag ?? ''
  t.match(tag, /^"[0-9a-f]{64}"$/, 'also for the request that started the fill')

  for (const condition of [tag, `W/${tag}`, `"x", ${tag}`, '*', tag.replace(/"$/, '-gzip"')]) {
    const again = await get('large', { 'If-None-Match': condition })
    t.equal(again.status, 304, condition)
    t.equal(again.body.length, 0)
    t.equal(again.headers.etag, tag)
  }
  git(repository, 'update-ref', 'refs/heads/new', 'refs/heads/main')
  const changed = await get('large', { 'If-None-Match': tag })
  t.equal(changed.status, 200)
  t.not(changed.headers.etag, tag)
})

t.test('--etag sends an ETag with every answer', async (t) => {
  const { get } = await setUp(t, '--etag')
  await get('large')
  await eventually(
    'as soon as the entry is whole',
    async () => (await get('large')).headers.etag !== undefined,
  )
})
