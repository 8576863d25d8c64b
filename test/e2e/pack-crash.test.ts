import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { fetchV2, postFetch, readFetchAnswer } from '../support/posted-fetch.js'
import { gitClient } from '../support/git-client.js'
import { eventuallyFollowed, startPacks, type PackSetup } from '../support/pack-setup.js'
import { packPlans } from '../support/pack-wrapper.js'
import { git } from '../support/repositories.js'
import type { SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const wanted = ({ repository }: PackSetup): Buffer =>
  fetchV2(['ofs-delta', `want ${git(repository, 'rev-parse', 'main')}`, 'done'])

const fetchBy = async (sidecar: SpawnedSidecar, body: Buffer): Promise<Buffer> =>
  (await postFetch(sidecar.url, 'r.git', body)).body

/** Returns the paths of the files in one directory of the pack cache. */
function filesIn({ cacheDir }: SpawnedSidecar, part: 'entries' | 'temp'): string[] {
  const directory = join(cacheDir, 'packs/instance-0', part)
  return existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : []
}

/** Fetches until the pack is in a file. @returns the answer that is kept */
async function store({ sidecar, wrapper }: PackSetup, body: Buffer): Promise<Buffer> {
  let kept = Buffer.alloc(0)
  await eventually('the pack is in a file', async () => {
    const before = wrapper.packs()
    kept = (await fetchBy(sidecar, body)) as typeof kept
    return wrapper.packs() === before && filesIn(sidecar, 'entries').length > 0
  })
  return kept
}

/** Checks that an answer has a pack without a fault. */
function isWhole(t: Test, answer: Buffer): void {
  const path = join(tempDir(t), 'objects.git')
  git('/', 'init', '--quiet', '--bare', path)
  const file = join(path, 'objects/pack/pack-x.pack')
  writeFileSync(file, readFetchAnswer(answer).pack)
  git(path, 'index-pack', '--strict', file)
  t.equal(answer.subarray(-4).toString(), '0000')
}

t.test('a pack in a file is served after kill -9, only if the file is intact', async (t) => {
  const setup = await startPacks(t, {
    // Short packs are in memory alone.
    ...{ bulk: 3_000_000, cacheDir: join(tempDir(t), 'cache') },
    args: ['--pack-memory-max-bytes', '1MiB'],
  })
  const { wrapper } = setup
  const body = wanted(setup)
  let sidecar = setup.sidecar
  const restart = async (): Promise<void> => {
    await sidecar.stop('SIGKILL')
    sidecar = await setup.restart()
  }
  const before = await store(setup, body)
  const runs = wrapper.packs()
  await restart()
  t.ok((await fetchBy(sidecar, body)).equals(before), 'the same bytes')
  t.equal(wrapper.packs(), runs, 'without a run')
  const damages: Record<string, (path: string) => void> = {
    'a changed byte': (path) => {
      const bytes = readFileSync(path)
      bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
      writeFileSync(path, bytes)
    },
    'a cut file': (path) => truncateSync(path, 100),
    'a missing file': (path) => rmSync(path),
  }
  for (const [what, damage] of Object.entries(damages)) {
    await store({ ...setup, sidecar }, body)
    await sidecar.stop('SIGKILL')
    const sizes = filesIn(sidecar, 'entries').map((path) => [readFileSync(path).length, path] as const)
    damage(sizes.sort(([one], [other]) => other - one)[0]![1])
    sidecar = await setup.restart()
    const count = wrapper.packs()
    isWhole(t, await fetchBy(sidecar, body))
    t.equal(wrapper.packs(), count + 1, `${what}: a new run`)
  }
})

t.test('kill -9 during a fill, then a restart: nothing of it is served or left', async (t) => {
  const setup = await startPacks(t, {
    bulk: 3_000_000,
    cacheDir: join(tempDir(t), 'cache'),
    args: ['--pack-memory-max-bytes', '1MiB'],
  })
  setup.wrapper.planPacks(packPlans.pauseAfter(2_000_000, 'go'))
  const body = wanted(setup)
  const clients = [1, 2].map(() => fetchBy(setup.sidecar, body).then(String, () => 'broken off'))
  await eventuallyFollowed(setup.sidecar, 2)
  await eventually('Git waits', () => setup.wrapper.hasFile('paused'))
  await setup.sidecar.stop('SIGKILL')
  t.same(await Promise.all(clients), ['broken off', 'broken off'])
  setup.wrapper.signal('go')
  setup.wrapper.planPacks(undefined)
  const sidecar = await setup.restart()
  await eventually('nothing of it is left', () => filesIn(sidecar, 'temp').length === 0)
  isWhole(t, await fetchBy(sidecar, body))
  t.equal(setup.wrapper.packs(), 2)
})

t.test('on a disk that is full all clients get their packs', async (t) => {
  const disk = tempDir(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', disk], { stdio: 'ignore' })
  } catch {
    t.pass('cannot mount here', { skip: 'needs the right to mount a tmpfs' })
    return
  }
  t.teardown(() => execFileSync('umount', ['-l', disk]))
  const setup = await startPacks(t, {
    bulk: 10_000_000,
    cacheDir: join(disk, 'cache'),
    args: ['--cache-min-free-bytes', '0', '--cache-min-free-inodes', '0', '--pack-memory-max-bytes', '1MiB'],
  })
  const body = wanted(setup)
  for (const round of [1, 2]) {
    const answers = await Promise.all([1, 2, 3].map(() => fetchBy(setup.sidecar, body)))
    for (const answer of answers) isWhole(t, answer)
    t.ok(setup.wrapper.packs() >= round)
  }
  const left = (): Promise<number> => setup.sidecar.metric('refstream_processes_running')
  await eventually('no process is left', async () => (await left()) === 0)
})

t.test('gc and repack between fetches and in the middle of one: every clone is whole', async (t) => {
  const setup = await startPacks(t)
  const { repository, sidecar, wrapper } = setup
  const work = tempDir(t)
  const clone = async (name: string): Promise<void> => {
    await gitClient(2)(work, 'clone', '--quiet', '--bare', `${sidecar.url}/r.git`, name)
    git(join(work, name), 'fsck', '--strict')
    t.equal(git(join(work, name), 'rev-parse', 'main'), git(repository, 'rev-parse', 'main'))
  }
  const cleanings = [
    ['gc', '--quiet', '--prune=now'],
    ['repack', '-a', '-d', '-f', '--quiet'],
  ]
  await clone('before')
  for (const [index, args] of cleanings.entries()) {
    git(repository, ...args)
    await clone(`after-${index}`)
    git(repository, 'tag', '-a', '-m', 'new', `new-${index}`, 'main')
    wrapper.planPacks(packPlans.pauseAfter(300, `go-${index}`))
    const clones = [1, 2].map((number) => clone(`middle-${index}-${number}`))
    await eventuallyFollowed(sidecar, 2)
    git(repository, ...args)
    wrapper.signal(`go-${index}`)
    await Promise.all(clones)
  }
})

t.test('with --no-packs all fetches pass through', async (t) => {
  const setup = await startPacks(t, { args: ['--no-packs'] })
  const body = wanted(setup)
  for (const count of [1, 2]) {
    isWhole(t, await fetchBy(setup.sidecar, body))
    t.equal(setup.wrapper.count('http-backend'), count)
  }
  t.equal(await setup.sidecar.metric('refstream_packs_passed_total', { reason: 'off' }), 2)
  t.same(filesIn(setup.sidecar, 'entries'), [])
})
