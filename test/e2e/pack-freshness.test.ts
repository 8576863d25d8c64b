import t from 'tap'
import { appendFileSync, cpSync, existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { fetchV2, postFetch, readFetchAnswer } from '../support/posted-fetch.js'
import { LeaseClient } from '../support/lease-client.js'
import { ask } from '../support/http-client.js'
import { startPacks, storm, type PackSetup } from '../support/pack-setup.js'
import { makePackRepository } from '../support/pack-repository.js'
import { git } from '../support/repositories.js'
import type { SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Fetches a commit with all its history; what comes is the pack, or the error of Git. */
async function fetchOf(sidecar: SpawnedSidecar, commit: string, name = 'r.git'): Promise<string> {
  const { status, body } = await postFetch(sidecar.url, name, fetchV2([`want ${commit}`, 'done']))
  const { pack, packets } = readFetchAnswer(body)
  return `${status} ${pack.length > 0 ? 'pack' : packets.join('')}`
}

/** Fetches until the pack is kept: one that is served without a run. */
async function keep(
  { wrapper }: PackSetup,
  sidecar: SpawnedSidecar,
  commit: string,
  name = 'r.git',
): Promise<void> {
  await eventually('the pack is kept', async () => {
    const before = wrapper.packs()
    if ((await fetchOf(sidecar, commit, name)) !== '200 pack') throw new Error('no pack')
    return wrapper.packs() === before
  })
}

const changes: Record<string, (repository: string) => unknown> = {
  'uploadpack.allowFilter': (path) => git(path, 'config', 'uploadpack.allowFilter', 'false'),
  'core.compression': (path) => git(path, 'config', 'core.compression', '0'),
  'an included file': (path) => {
    writeFileSync(join(path, 'more'), '[pack]\n\tthreads = 1\n')
    git(path, 'config', 'include.path', 'more')
  },
  shallow: (path) => writeFileSync(join(path, 'shallow'), `${git(path, 'rev-parse', 'main~3')}\n`),
  grafts: (path) => {
    writeFileSync(join(path, 'info/grafts'), `${git(path, 'rev-parse', 'main~3')}\n`)
  },
  alternates: (path) => writeFileSync(join(path, 'objects/info/alternates'), `${path}/objects\n`),
  'a move and a copy in its place': (path) => {
    renameSync(path, `${path}.old`)
    cpSync(`${path}.old`, path, { recursive: true, preserveTimestamps: true })
  },
}

t.test('a changed repository gets no old pack', async (t) => {
  const setup = await startPacks(t)
  const { root, sidecar, wrapper } = setup
  for (const [what, change] of Object.entries(changes)) {
    const name = `${what.replaceAll(' ', '-')}.git`
    const repository = makePackRepository(root, name)
    const main = git(repository, 'rev-parse', 'main')
    await keep(setup, sidecar, main, name)
    const before = wrapper.packs()
    change(repository)
    t.equal(await fetchOf(sidecar, main, name), '200 pack')
    t.ok(wrapper.packs() > before, `${what}: a new run`)
    if (what !== 'shallow' && what !== 'grafts') continue
    // Once more: what is kept now is the new pack.
    const { body } = await postFetch(sidecar.url, name, fetchV2([`want ${main}`, 'done']))
    const size = readFetchAnswer(body).pack.readUInt32BE(8)
    t.ok(size < 50, `${what}: ${size} objects`)
  }
})

t.test('a changed file that is included changes the pack’s key', async (t) => {
  const setup = await startPacks(t)
  const { repository, sidecar, wrapper } = setup
  const main = git(repository, 'rev-parse', 'main')
  writeFileSync(join(repository, 'more'), '[pack]\n\tthreads = 1\n')
  git(repository, 'config', 'include.path', 'more')
  await keep(setup, sidecar, main)
  const before = wrapper.packs()
  appendFileSync(join(repository, 'more'), '\tcompression = 1\n')
  await fetchOf(sidecar, main)
  t.ok(wrapper.packs() > before)
})

t.test('a filter that is no longer allowed is refused although its pack was kept', async (t) => {
  const { repository, sidecar, wrapper } = await startPacks(t)
  const main = git(repository, 'rev-parse', 'main')
  const body = fetchV2(['filter blob:none', `want ${main}`, 'done'])
  const answer = async (): Promise<string> => {
    const { body: bytes } = await postFetch(sidecar.url, 'r.git', body)
    const { pack, packets } = readFetchAnswer(bytes)
    return pack.length > 0 ? 'pack' : packets.join('')
  }
  t.equal(await answer(), 'pack')
  t.equal(await answer(), 'pack')
  t.equal(wrapper.packs(), 1)
  git(repository, 'config', 'uploadpack.allowFilter', 'false')
  t.match(await answer().catch(() => 'broken'), /^(?:broken$|.*ERR )/)
})

t.test('a repository that is deleted and made again never gives an old pack', async (t) => {
  const setup = await startPacks(t)
  const { root, repository, sidecar, wrapper } = setup
  const main = git(repository, 'rev-parse', 'main')
  await keep(setup, sidecar, main)
  rmSync(repository, { recursive: true })
  t.equal((await postFetch(sidecar.url, 'r.git', fetchV2([`want ${main}`, 'done']))).status, 404)
  makePackRepository(root, 'r.git', { bulk: 1000 })
  t.match(await fetchOf(sidecar, main), /^200 .*ERR upload-pack: not our ref/)
  rmSync(repository, { recursive: true })
  makePackRepository(root, 'r.git')
  const before = wrapper.packs()
  t.equal(await fetchOf(sidecar, main), '200 pack', 'the same objects again')
  t.equal(wrapper.packs(), before + 1)
})

t.test('invalidation and the end of a lease drop packs', async (t) => {
  const setup = await startPacks(t)
  const { repository, sidecar, wrapper } = setup
  const main = git(repository, 'rev-parse', 'main')
  const lease = new LeaseClient(sidecar.adminUrl, 'r.git')
  const dropping: Record<string, () => Promise<unknown>> = {
    invalidate: () => invalidate(sidecar),
    'a lease that ends as changed': () => lease.during(async () => {}),
  }
  for (const [what, drop] of Object.entries(dropping)) {
    await keep(setup, sidecar, main)
    const before = wrapper.packs()
    await drop()
    t.equal(await fetchOf(sidecar, main), '200 pack')
    t.equal(wrapper.packs(), before + 1, what)
  }
  await keep(setup, sidecar, main)
  const before = wrapper.packs()
  await lease.during(async () => {}, false)
  t.equal(await fetchOf(sidecar, main), '200 pack')
  t.equal(wrapper.packs(), before, 'a lease that changed nothing drops nothing')
})

async function invalidate({ adminUrl }: SpawnedSidecar): Promise<void> {
  const body = JSON.stringify({ repository: 'r.git' })
  const headers = { 'Content-Type': 'application/json' }
  const { status } = await ask(`${adminUrl}/v1/invalidate`, { method: 'POST', headers, body })
  if (status !== 204) throw new Error(`invalidate: ${status}`)
}

t.test('a change in the middle of a storm: later clients do not join the run before it', async (t) => {
  const setup = await startPacks(t)
  const { repository, sidecar, wrapper } = setup
  const between: Record<string, () => unknown> = {
    configuration: () => git(repository, 'config', 'core.compression', '0'),
    invalidate: () => invalidate(sidecar),
    'a lease that ends as changed': () => new LeaseClient(sidecar.adminUrl, 'r.git').during(async () => {}),
  }
  for (const [index, [what, change]] of Object.entries(between).entries()) {
    const commit = git(repository, 'rev-parse', `main~${index}`)
    const before = wrapper.packs()
    const results = await storm(setup, 10, () => fetchOf(sidecar, commit), change)
    t.same(new Set(results), new Set(['200 pack']), what)
    t.equal(wrapper.packs(), before + 2, what)
    t.equal(await fetchOf(sidecar, commit), '200 pack')
    t.equal(wrapper.packs(), before + 2, `${what}: the second pack is kept`)
  }
})

t.test('packs that were dropped do not come back with a restart', async (t) => {
  for (const what of ['invalidate', 'lease'] as const) {
    const setup = await startPacks(t, {
      // Short packs are in memory alone.
      ...{ bulk: 3_000_000, cacheDir: join(tempDir(t), 'cache') },
      args: ['--pack-memory-max-bytes', '1MiB'],
    })
    const { repository, sidecar, wrapper } = setup
    const main = git(repository, 'rev-parse', 'main')
    await keep(setup, sidecar, main)
    await eventually('a file has it', async () => {
      await fetchOf(sidecar, main)
      return entryFiles(sidecar.cacheDir).length > 0
    })
    if (what === 'invalidate') await invalidate(sidecar)
    else await new LeaseClient(sidecar.adminUrl, 'r.git').during(async () => {})
    await sidecar.stop('SIGKILL')
    const before = wrapper.packs()
    t.equal(await fetchOf(await setup.restart(), main), '200 pack')
    t.equal(wrapper.packs(), before + 1, what)
  }
})

/** Returns the files of kept packs. */
function entryFiles(cacheDir: string): string[] {
  const directory = join(cacheDir, 'packs/instance-0/entries')
  return existsSync(directory) ? readdirSync(directory) : []
}

t.test('objects that were pruned may be served until the repository is invalidated', async (t) => {
  const setup = await startPacks(t)
  const { repository, sidecar, wrapper } = setup
  const topic = git(repository, 'rev-parse', 'topic')
  await keep(setup, sidecar, topic)
  git(repository, 'update-ref', '-d', 'refs/heads/topic')
  git(repository, 'gc', '--quiet', '--prune=now')
  const before = wrapper.packs()
  t.equal(await fetchOf(sidecar, topic), '200 pack')
  t.equal(wrapper.packs(), before)
  await invalidate(sidecar)
  t.match(await fetchOf(sidecar, topic), /^200 .*ERR upload-pack: not our ref/)
})
