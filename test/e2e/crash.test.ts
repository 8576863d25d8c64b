import t from 'tap'
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeMetadata, metadataPath } from '../../src/streamcache/disk/metadata.js'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { footer } from '../support/footer.js'
import { startSidecar } from '../support/sidecar.js'
import { bodiesIn, filesIn } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

t.test('kill -9 during a fill, then a restart: nothing of the fill is served or left', async (t) => {
  const root = tempDir(t)
  const cacheDir = join(tempDir(t), 'cache')
  addPackedBranches(makeRepository(root, 'r.git'), 20_000)
  const wrapper = makeGitWrapper(t)
  const options = { cacheDir, args: ['--git', wrapper.path] }

  const first = await startSidecar(t, root, options)
  wrapper.plan(plans.pause(500_000))
  const client = ask(infoRefs(first.url, 'r.git')).catch(() => undefined)
  await eventually('Git waits', () => wrapper.hasFile('paused'))
  await eventually(
    'some of it is on disk',
    () => readdirSync(join(cacheDir, 'instance-0', 'temp')).length === 1,
  )
  t.equal(await first.stop('SIGKILL'), 'SIGKILL')
  t.equal(await client, undefined, 'its client sees an aborted answer')
  wrapper.signal('go')

  wrapper.plan(undefined)
  const second = await startSidecar(t, root, options)
  const discarded = (): Promise<number> =>
    second.metric('refstream_store_discarded_total', { reason: 'temp' })
  await eventually('it is discarded', async () => (await discarded()) === 1)
  t.same(readdirSync(join(cacheDir, 'instance-0', 'temp')), [])
  const { status, body } = await ask(infoRefs(second.url, 'r.git'))
  t.equal(status, 200)
  t.equal(body.toString().match(/ refs\/heads\//g)?.length, 20_001, 'the answer is whole')
})

t.test('committed entries survive kill -9 and are reused without a process', async (t) => {
  const root = tempDir(t)
  const cacheDir = join(tempDir(t), 'cache')
  const repository = makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const options = { cacheDir, args: ['--git', wrapper.path] }

  const first = await startSidecar(t, root, options)
  const before = await ask(infoRefs(first.url, 'r.git'))
  await eventually('it is committed', () => filesIn(cacheDir, 'entries').length === 1)
  await first.stop('SIGKILL')

  const second = await startSidecar(t, root, options)
  const after = await ask(infoRefs(second.url, 'r.git'))
  t.same(after.body, before.body)
  t.equal(wrapper.count('upload-pack'), 1)
  t.equal(await second.metric('refstream_requests_total', { outcome: 'hit' }), 1)
  await second.stop('SIGKILL')

  git(repository, 'update-ref', 'refs/heads/new', 'refs/heads/main')
  const third = await startSidecar(t, root, options)
  const changed = await ask(infoRefs(third.url, 'r.git'))
  t.match(changed.body.toString(), /refs\/heads\/new\n/, 'but not if the refs changed while it was down')
  t.equal(wrapper.count('upload-pack'), 2)
})

t.test('damaged files are discarded, counted and filled again', async (t) => {
  const damages: [string, (path: string) => void, 'corrupt' | 'truncated' | 'format' | 'temp'][] = [
    ['a flipped bit', (path) => flipBit(path), 'corrupt'],
    ['a cut file', (path) => truncateSync(path, 100), 'truncated'],
    ['an empty file', (path) => truncateSync(path, 0), 'truncated'],
    ['a flipped bit in its metadata', (path) => flipBit(metadataPath(path)), 'corrupt'],
    ['no metadata', (path) => rmSync(metadataPath(path)), 'corrupt'],
    ['a crash between metadata and body', (path) => rmSync(path), 'temp'],
    ['an entry with a footer, of an earlier version', toFooter, 'format'],
  ]
  for (const [name, damage, reason] of damages) {
    const root = tempDir(t)
    const cacheDir = join(tempDir(t), 'cache')
    makeRepository(root, 'r.git')
    const first = await startSidecar(t, root, { cacheDir })
    const before = await ask(infoRefs(first.url, 'r.git'))
    await eventually('it is committed', () => filesIn(cacheDir, 'entries').length === 1)
    await first.stop('SIGKILL')
    damage(bodiesIn(cacheDir)[0]!)

    const second = await startSidecar(t, root, { cacheDir })
    const after = await ask(infoRefs(second.url, 'r.git'))
    t.same(after.body, before.body, `${name}: the answer is right`)
    const discarded = (): Promise<number> => second.metric('refstream_store_discarded_total', { reason })
    await eventually(`${name} counts as ${reason}`, async () => (await discarded()) === 1)
    const kept = (): Promise<number> => second.metric('refstream_fills_total', { result: 'committed' })
    await eventually('it is made again', async () => (await kept()) === 1)
    await second.stop()
  }
})

/** Makes of a body and its metadata one file with a footer, as earlier versions committed it. */
function toFooter(path: string): void {
  const metadata = decodeMetadata(readFileSync(metadataPath(path)))!
  writeFileSync(path, footer(metadata), { flag: 'a' })
  rmSync(metadataPath(path))
}

function flipBit(path: string): void {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(60) ^ 1, 60)
  writeFileSync(path, bytes)
}
