// Three refstreams in a row above repositories that change: each asks the one below it, and is told what has changed.
import t, { type Test } from 'tap'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../support/random.js'
import { git } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { answersOfGit, SidecarClient, type Question } from '../support/splices/answers.js'
import { createModelRepository, type ModelRepository } from '../support/splices/model-repository.js'
import { fileSteps } from '../support/splices/file-steps.js'
import { refSteps } from '../support/splices/ref-steps.js'
import { walk } from '../support/splices/walk.js'
import { tempDir } from '../support/temp-dir.js'

const root = realpathSync(tempDir(t))
const start = (t: Test, upstream: string): Promise<SpawnedSidecar> =>
  startSidecar(t, undefined, { args: ['--upstream', upstream] })

const disk = await startSidecar(t, root, { args: ['--export-all'] })
const middle = await start(t, disk.url)
const near = await start(t, middle.url)
const hops = [disk, middle, near]

const flags = { peel: true, symrefs: true, unborn: true }
const questions: readonly Question[] = [
  'v0',
  'v1',
  { ...flags, prefixes: [] },
  { ...flags, prefixes: ['HEAD', 'refs/heads/', 'refs/tags/'] },
  { ...flags, prefixes: ['refs/heads/bulk/0'] },
  { ...flags, peel: false, prefixes: ['refs/heads/bulk/0'] },
]

/** Compares the answers of sidecars with those of Git. */
async function compareHops(
  t: Test,
  repository: ModelRepository,
  sidecars: readonly SpawnedSidecar[],
  what: string,
): Promise<void> {
  const expected = await answersOfGit(root, repository, questions)
  // From the top down: what is asked first goes through all of them.
  for (const [hop, { url }] of [...sidecars].reverse().entries()) {
    const client = new SidecarClient(url)
    const coding = hop === 0 ? 'gzip' : 'identity'
    const answers = await Promise.all(
      questions.map((question) => client.answer(repository, question, coding)),
    )
    client.close()
    const different = questions.filter((_, index) => answers[index] !== expected[index])
    t.same(different, [], `${what}, ${url}`)
  }
}

/** Changes some refs at random, as pushes do. */
function push(repository: ModelRepository, random: Random): string {
  const { directory, commits, tags } = repository
  const name = `refs/heads/bulk/${String(random.below(2500)).padStart(4, '0')}`
  const kinds = [
    () => git(directory, 'update-ref', name, random.pick(commits)),
    () => git(directory, 'update-ref', '-d', name),
    () => git(directory, 'update-ref', `refs/heads/new/${random.below(100)}`, random.pick(commits)),
    () => git(directory, 'update-ref', `refs/tags/t${random.below(100)}`, random.pick(tags.slice(0, 2))),
    () => git(directory, 'update-ref', 'refs/heads/main', random.pick(commits)),
    () => git(directory, 'symbolic-ref', 'HEAD', random.pick([name, 'refs/heads/none'])),
    () => git(directory, 'pack-refs', '--all'),
  ]
  const kind = random.below(kinds.length)
  kinds[kind]!()
  return `kind ${kind}`
}

t.test('after each push every hop answers as Git does, and is told what has changed', async (t) => {
  const repository = createModelRepository(t, root, { name: 'pushed.git', bulk: 2500 })
  const random = new Random(7)
  await compareHops(t, repository, hops, 'at first')
  await compareHops(t, repository, hops, 'again')
  for (let step = 0; step < 8; step++)
    await compareHops(t, repository, hops, `${step}, ${push(repository, random)}`)
  for (const [index, sidecar] of [middle, near].entries()) {
    const applied = await sidecar.metric('refstream_upstream_delta_answers_total', { result: 'applied' })
    const sent = await hops[index]!.metric('refstream_delta_answers_total')
    const saved = await sidecar.metric('refstream_upstream_delta_saved_bytes_total')
    t.ok(applied >= 8 && applied === sent, `${applied} deltas were applied, ${sent} sent`)
    t.ok(saved > applied * 10_000, `${saved} bytes were not sent`)
    t.equal(await sidecar.metric('refstream_upstream_delta_answers_total', { result: 'damaged' }), 0)
  }
})

t.test('random changes of all kinds', async (t) => {
  const repository = createModelRepository(t, root, { name: 'walk.git' })
  await walk({ root, repository, url: near.url, seed: 1, steps: 6, kinds: [...refSteps, ...fileSteps] })
  t.pass('no difference')
})

t.test(
  'a refstream that has restarted answers as a whole, and one above it that has lost its entries asks so',
  async (t) => {
    const repository = createModelRepository(t, root, { name: 'restarted.git', bulk: 300 })
    const random = new Random(3)
    const cacheDir = join(tempDir(t), 'cache')
    // An address that stays: what is above finds the restarted one there.
    const first = await startSidecar(t, root, { args: ['--export-all'], cacheDir })
    const listen = new URL(first.url).host
    const above = await start(t, first.url)
    for (let step = 0; step < 2; step++) {
      await compareHops(t, repository, [above], `before, ${step}`)
      push(repository, random)
    }
    await first.stop()
    const second = await startSidecar(t, root, { args: ['--export-all', '--listen', listen], cacheDir })
    await compareHops(t, repository, [above], 'after the restart')
    t.equal(await second.metric('refstream_delta_answers_total'), 0, 'what it had sent is forgotten')
    push(repository, random)
    await compareHops(t, repository, [above], 'then')
    t.ok((await second.metric('refstream_delta_answers_total')) > 0, 'what it has sent since is known')
    const other = await start(t, second.url)
    const before = await second.metric('refstream_delta_answers_total')
    await compareHops(t, repository, [other], 'a new one above')
    t.equal(await second.metric('refstream_delta_answers_total'), before)
  },
)

t.test('nothing is left', async (t) => {
  for (const sidecar of hops) {
    t.equal(await sidecar.metric('refstream_followers'), 0)
    t.equal(await sidecar.metric('refstream_processes_running'), 0)
  }
})
