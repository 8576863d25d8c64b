import t, { type Test } from 'tap'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { ask, open } from '../support/http-client.js'
import { makePackRepository } from '../support/pack-repository.js'
import { fetchV2, postFetch, readFetchAnswer } from '../support/posted-fetch.js'
import { addPackedBranches, git } from '../support/repositories.js'
import type { SpawnedSidecar } from '../support/sidecar.js'
import { workersOf } from '../support/worker-processes.js'
import { published, startWorkers, upOf, whileStopped } from '../support/workers.js'

if (process.platform !== 'linux') {
  t.plan(0, 'the tests read /proc')
  process.exit()
}

/** Returns the paths of the bodies of committed entries, of all workers. */
function bodies({ cacheDir }: SpawnedSidecar, part = ''): string[] {
  const directory = join(cacheDir, part)
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter((name) => name.startsWith('instance-'))
    .flatMap((name) => {
      const entries = join(directory, name, 'entries')
      if (!existsSync(entries)) return []
      return readdirSync(entries).map((file) => join(entries, file))
    })
    .filter((path) => !path.endsWith('.meta'))
}

const borrowed = (sidecar: SpawnedSidecar, way: 'file' | 'peer'): Promise<number> =>
  sidecar.metric('refstream_fleet_borrowed_fills_total', { way })

/** Two workers, and a long advertisement that the first has committed. */
async function startWithEntry(t: Test, ...args: string[]) {
  const started = await startWorkers(t, ...args)
  const { root, sidecar, url } = started
  const repository = join(root, 'r.git')
  addPackedBranches(repository, 40_000)
  const [first, second] = workersOf(sidecar.pid) as [number, number]
  let body = Buffer.alloc(0)
  await whileStopped(second, async () => {
    body = Buffer.from((await ask(url)).body)
    await eventually('the entry is committed', () => bodies(sidecar).length === 1)
  })
  await published(sidecar, 1)
  const [path = ''] = bodies(sidecar)
  return { ...started, repository, first, second, body, path }
}

t.test('an entry that one worker has committed is opened by the other', async (t) => {
  const { wrapper, sidecar, url, first, second, body, path } = await startWithEntry(t)
  t.equal(statSync(path).size, body.length)
  await whileStopped(first, async () => {
    for (let time = 0; time < 2; time++) t.ok((await ask(url)).body.equals(body))
  })
  t.equal(wrapper.count('upload-pack'), 1)
  t.same(bodies(sidecar), [path], 'it is on disk once')
  t.equal(await borrowed(sidecar, 'file'), 1)
  t.equal(await borrowed(sidecar, 'peer'), 0)
  t.equal(await sidecar.metric('refstream_store_entries'), 2, 'both know of it')
  const size = statSync(path).size + statSync(`${path}.meta`).size
  t.equal(await sidecar.metric('refstream_store_bytes'), size, 'its bytes count once')

  // Its owner is killed, and finds it again.
  process.kill(first, 'SIGKILL')
  await eventually('it is started again', async () => {
    return (await upOf(sidecar)) === 2 && !!third()
  })
  function third(): number | undefined {
    return workersOf(sidecar.pid).find((pid) => pid !== second && pid !== first)
  }
  await whileStopped(third()!, async () => void t.ok((await ask(url)).body.equals(body)))
  await whileStopped(second, async () => void t.ok((await ask(url)).body.equals(body)))
  t.equal(wrapper.count('upload-pack'), 1, 'nothing is lost')
  t.same(bodies(sidecar), [path])
  t.same(
    sidecar.log.filter(({ msg }) => String(msg).includes('uses the cache directory')),
    [],
    'workers are no other refstream',
  )
})

t.test('the owner removes an entry that the other worker reads', async (t) => {
  const { wrapper, repository, sidecar, url, first, second, body, path } = await startWithEntry(
    t,
    ...['--hot-max-bytes', '0', '--splice', 'off'],
  )
  let reading!: Promise<Buffer>
  await whileStopped(first, async () => {
    // It is not read yet: most of it is still on disk.
    const response = await open(url, { headers: { 'Accept-Encoding': 'identity' } })
    response.pause()
    reading = (async () => {
      await go
      return Buffer.concat((await response.toArray()) as Buffer[])
    })()
  })
  t.equal(await borrowed(sidecar, 'file'), 1)
  git(repository, 'update-ref', 'refs/heads/new', 'refs/heads/main')
  await whileStopped(second, async () => {
    t.match((await ask(url)).body.toString(), / refs\/heads\/new\n/)
    await eventually('the old entry is removed', () => !existsSync(path))
  })
  goNow()
  t.ok((await reading).equals(body), 'the reader gets all of it')
  await whileStopped(first, async () => {
    t.match((await ask(url)).body.toString(), / refs\/heads\/new\n/, 'nothing stale is served')
  })
  t.equal(wrapper.count('upload-pack'), 2)
})

let goNow = (): void => {}
const go = new Promise<void>((resolve) => (goNow = resolve))

t.test('a damaged file of another worker is not served', async (t) => {
  const { wrapper, sidecar, url, first, body, path } = await startWithEntry(t)
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(100_000) ^ 1, 100_000)
  writeFileSync(path, bytes)
  await whileStopped(first, async () => void t.ok((await ask(url)).body.equals(body)))
  t.equal(wrapper.count('upload-pack'), 2, 'it is made anew')
  t.ok((await ask(url)).body.equals(body))
  t.equal(await sidecar.metric('refstream_requests_total', { kind: 'advertisement', outcome: 'failed' }), 0)
})

t.test('packs on disk are opened by all workers', async (t) => {
  const { root, wrapper, sidecar } = await startWorkers(t, ...['--pack-memory-max-bytes', '2MiB'])
  const repository = makePackRepository(root, 'p.git', { bulk: 3_000_000 })
  const [first, second] = workersOf(sidecar.pid) as [number, number]
  const wants = fetchV2(['ofs-delta', `want ${git(repository, 'rev-parse', 'main')}`, 'done'])
  const fetchPack = async (): Promise<Buffer> => {
    const { status, body } = await postFetch(sidecar.url, 'p.git', wants)
    t.equal(status, 200)
    return body
  }
  let kept = Buffer.alloc(0)
  await whileStopped(second, async () => {
    await eventually('the pack is in a file', async () => {
      const before = wrapper.count('upload-pack')
      kept = Buffer.from(await fetchPack())
      return wrapper.count('upload-pack') === before && bodies(sidecar, 'packs').length > 0
    })
  })
  const runs = wrapper.count('upload-pack')
  await published(sidecar, runs)
  t.ok(readFetchAnswer(kept).pack.length > 3_000_000)
  await whileStopped(first, async () => void t.ok((await fetchPack()).equals(kept)))
  t.equal(wrapper.count('upload-pack'), runs)
  t.equal(bodies(sidecar, 'packs').length, 1)
  t.ok((await borrowed(sidecar, 'file')) > 0)

  const [path = ''] = bodies(sidecar, 'packs')
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
  writeFileSync(path, bytes)
  await whileStopped(first, async () => {
    const again = readFetchAnswer(await fetchPack())
    t.ok(again.pack.subarray(0, 4).equals(Buffer.from('PACK')))
  })
  t.equal(wrapper.count('upload-pack'), runs + 1, 'a damaged one is made anew')
})
