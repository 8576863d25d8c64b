import t from 'tap'
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { completeLsRefs } from '../../src/git/protocol/ls-refs.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans, type GitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { addPackedBranches, git, gitWith, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Timestamps are trusted after this many milliseconds. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50))

const branches = 3000

interface Rig {
  readonly repository: string
  readonly wrapper: GitWrapper
  readonly cacheDir: string
  readonly start: (...args: string[]) => Promise<SpawnedSidecar>
}

function makeRig(t: Parameters<typeof tempDir>[0]): Rig {
  const root = tempDir(t)
  const cacheDir = join(tempDir(t), 'cache')
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, branches)
  const wrapper = makeGitWrapper(t)
  const start = (...args: string[]): Promise<SpawnedSidecar> =>
    startSidecar(t, root, { cacheDir, args: ['--git', wrapper.path, ...args] })
  return { repository, wrapper, cacheDir, start }
}

async function advertised(sidecar: SpawnedSidecar, version: 0 | 1): Promise<string> {
  const headers = version === 1 ? { 'Git-Protocol': 'version=1' } : {}
  return (await ask(infoRefs(sidecar.url, 'r.git'), { headers })).body.toString()
}

async function listed(sidecar: SpawnedSidecar): Promise<string> {
  const headers = { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }
  const url = `${sidecar.url}/r.git/git-upload-pack`
  return (await ask(url, { method: 'POST', headers, body: completeLsRefs('sha1') })).body.toString()
}

const fillsRunning = (sidecar: SpawnedSidecar): Promise<number> =>
  sidecar.metric('refstream_processes_running')

const askAll = (sidecar: SpawnedSidecar): Promise<string[]> =>
  Promise.all([advertised(sidecar, 0), advertised(sidecar, 1), listed(sidecar)])

const spliced = (sidecar: SpawnedSidecar, kind: string, result = 'spliced'): Promise<number> =>
  sidecar.metric('refstream_splices_total', { kind, result })

/** Changes a ref until all three kinds of answers are spliced, and audited: what surrounds them is known then. */
async function warmUp({ repository }: Rig, sidecar: SpawnedSidecar): Promise<void> {
  let changes = 0
  await eventually('all are spliced and audited', async () => {
    await settle()
    await askAll(sidecar)
    git(repository, 'update-ref', `refs/heads/warm-${++changes}`, 'main')
    await settle()
    await askAll(sidecar)
    // The first three of each kind are compared with what Git lists.
    return (await sidecar.metric('refstream_splice_audits_total')) >= 9
  })
}

t.test('a push costs one Git process, whatever the protocols of those who ask', async (t) => {
  const rig = makeRig(t)
  const sidecar = await rig.start()
  await warmUp(rig, sidecar)
  const changes = 5
  const before = rig.wrapper.count('upload-pack')
  const [listings, advertisements] = [
    await spliced(sidecar, 'listing'),
    await spliced(sidecar, 'advertisement'),
  ]
  const stored = await sidecar.metric('refstream_store_revised_bytes_total')
  const audits = (): Promise<number> => sidecar.metric('refstream_splice_audits_total')
  const auditsBefore = await audits()
  for (let change = 1; change <= changes; change++) {
    git(rig.repository, 'update-ref', `refs/heads/new-${change}`, 'main')
    await settle()
    for (const answer of await askAll(sidecar)) t.match(answer, ` refs/heads/new-${change}\n`)
    await eventually('it is committed', async () => (await fillsRunning(sidecar)) === 0)
  }
  await eventually('one process for each change, besides audits', async () => {
    const late = (await audits()) - auditsBefore
    const processes = rig.wrapper.count('upload-pack') - before
    return processes >= changes && processes <= changes + late
  })
  t.equal((await spliced(sidecar, 'listing')) - listings, changes)
  t.equal((await spliced(sidecar, 'advertisement')) - advertisements, 2 * changes)
  t.equal(await sidecar.metric('refstream_splice_audits_total', { verdict: 'different' }), 0)
  await eventually('what has changed is stored', async () => {
    const written = (await sidecar.metric('refstream_store_revised_bytes_total')) - stored
    return written > 0 && written < 20_000
  })
})

t.test('packed-refs whose refs may be in any order, as dulwich writes it, means a full fill', async (t) => {
  const rig = makeRig(t)
  const { repository } = rig
  const sidecar = await rig.start()
  await warmUp(rig, sidecar)
  const unsorted = (): Promise<number> => spliced(sidecar, 'listing', 'packed-refs')
  const tip = git(repository, 'rev-parse', 'main')
  const answersAfter = async (change: () => void): Promise<void> => {
    change()
    await settle()
    for (const answer of await askAll(sidecar)) t.match(answer, ` refs/heads/last-${changes}\n`)
    await eventually('it is committed', async () => (await fillsRunning(sidecar)) === 0)
  }
  let changes = 1
  const packed = join(repository, 'packed-refs')
  const before = await unsorted()
  await answersAfter(() => {
    const [, ...lines] = readFileSync(packed, 'latin1').trimEnd().split('\n')
    lines.push(`${tip} refs/heads/last-1`)
    writeFileSync(`${packed}.new`, `# pack-refs with: peeled \n${lines.join('\n')}\n`)
    renameSync(`${packed}.new`, packed)
  })
  t.equal((await unsorted()) - before, 1)
  const listings = await spliced(sidecar, 'listing')
  changes++
  await answersAfter(() => git(repository, 'update-ref', 'refs/heads/last-2', tip))
  t.equal((await spliced(sidecar, 'listing')) - listings, 1, 'while it is as it is, there are splices')
  await answersAfter(() => git(repository, 'pack-refs', '--all'))
  t.equal((await unsorted()) - before, 2, 'Git has sorted it')
  await sidecar.stop()
})

t.test('after kill -9 the last state is answered without a process', async (t) => {
  const rig = makeRig(t)
  const { repository, wrapper, start } = rig
  const first = await start()
  await warmUp(rig, first)
  const entries = join(rig.cacheDir, 'instance-0', 'entries')
  const stored = (): number =>
    readdirSync(entries).filter((name) => readFileSync(join(entries, name)).includes(' refs/heads/new\n'))
      .length
  git(repository, 'update-ref', 'refs/heads/new', 'main')
  await settle()
  const answers = await askAll(first)
  // As deltas, or in a file that was written anew.
  await eventually('all three are stored', () => stored() === 3)
  await first.stop('SIGKILL')
  const processes = wrapper.count('upload-pack')
  const second = await start()
  t.strictSame(await askAll(second), answers)
  t.equal(wrapper.count('upload-pack'), processes)
  git(repository, 'update-ref', 'refs/heads/newer', 'main')
  await settle()
  for (const answer of await askAll(second)) t.match(answer, ' refs/heads/newer\n')
  t.equal(await spliced(second, 'listing'), 1, 'the first hit has told of what the entry was made')
})

t.test('what is not understood is listed as a whole', async (t) => {
  const { repository, start } = makeRig(t)
  const sidecar = await start()
  const changeAndAsk = async (change: () => unknown): Promise<string> => {
    const committed = (): Promise<number> => sidecar.metric('refstream_requests_total', { outcome: 'hit' })
    const before = await committed()
    await eventually('it is committed', async () => {
      await listed(sidecar)
      return (await committed()) > before
    })
    await change()
    await settle()
    return listed(sidecar)
  }
  await changeAndAsk(() => git(repository, 'config', 'some.thing', '1'))
  t.equal(await spliced(sidecar, 'listing', 'configuration'), 1)
  const moved = await changeAndAsk(() => git(repository, 'symbolic-ref', 'HEAD', 'refs/heads/b/0'))
  t.match(moved, 'HEAD symref-target:refs/heads/b/0')
  t.equal(await spliced(sidecar, 'listing', 'head'), 1)
  const invalidation = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ repository: 'r.git' }),
  }
  await changeAndAsk(() => ask(`${sidecar.adminUrl}/v1/invalidate`, invalidation))
  t.equal(await spliced(sidecar, 'listing', 'invalidated'), 1)
  // None of these names begins with another one.
  const many = Array.from({ length: 1001 }, (_, index) => `delete refs/heads/b/00${1500 + index}\n`)
  await changeAndAsk(() => gitWith({ cwd: repository, input: many.join('') }, 'update-ref', '--stdin'))
  t.equal(await spliced(sidecar, 'listing', 'candidates'), 1)
})

t.test('--splice off lists all refs', async (t) => {
  const { repository, start } = makeRig(t)
  const sidecar = await start('--splice', 'off')
  await askAll(sidecar)
  git(repository, 'update-ref', 'refs/heads/new', 'main')
  await settle()
  for (const answer of await askAll(sidecar)) t.match(answer, ' refs/heads/new\n')
  t.equal(await spliced(sidecar, 'listing'), 0)
  t.equal(await spliced(sidecar, 'listing', 'off'), 2)
})

t.test('a ref that is renamed while Git is asked is not missing under both names', async (t) => {
  const rig = makeRig(t)
  const { repository, wrapper } = rig
  const sidecar = await rig.start()
  await warmUp(rig, sidecar)
  git(repository, 'update-ref', 'refs/heads/n/1', 'main')
  await settle()
  await listed(sidecar)
  await settle()
  const rename = (from: number, to: number): void => {
    git(repository, 'update-ref', `refs/heads/n/${to}`, 'main')
    git(repository, 'update-ref', '-d', `refs/heads/n/${from}`)
  }
  rename(1, 2)
  wrapper.plan(`: > "$dir/asked"\n${plans.wait}`)
  const answer = listed(sidecar)
  await eventually('Git is asked for what has changed', () => wrapper.hasFile('asked'))
  rename(2, 3)
  wrapper.signal('go')
  t.match(await answer, ' refs/heads/n/3\n')
})
