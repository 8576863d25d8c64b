// Random changes in lease mode under leases that name refs, or do not, overlap or expire; after each, the answers beside Git's,
// and the count of splices beside the rule's. REFSTREAM_STEPS sets the number of steps, and REFSTREAM_SEED the seed.
import t from 'tap'
import { realpathSync } from 'node:fs'
import { askAdmin } from '../../src/cli/admin/client.js'
import { eventually } from '../support/eventually.js'
import { Random } from '../support/random.js'
import { startSidecar } from '../support/sidecar.js'
import { answersOfGit, SidecarClient, type Question } from '../support/splices/answers.js'
import { createModelRepository, runGit } from '../support/splices/model-repository.js'
import { NamedChangesModel } from '../support/splices/named-changes-model.js'
import { tempDir } from '../support/temp-dir.js'

const steps = Number(process.env['REFSTREAM_STEPS'] ?? 24)
const seed = Number(process.env['REFSTREAM_SEED'] ?? 1)
t.setTimeout(0)

const root = realpathSync(tempDir(t))
const repository = createModelRepository(t, root, { name: 'r.git' })
const sidecar = await startSidecar(t, root, {
  args: ['--export-all', '--freshness', 'lease', '--unleased-max-age-seconds', '36000'],
})
const client = new SidecarClient(sidecar.url)
t.teardown(() => client.close())
const random = new Random(seed)
const model = new NamedChangesModel()
const names = ['main', 'main2', 'a', 'a/b', 'b', 'dir/one', 'dir/two', 's', 's2', 'later'].map(
  (name) => `refs/heads/${name}`,
)

const api = async (method: string, path: string, body: object, expected: number): Promise<unknown> => {
  const answer = await askAdmin(sidecar.adminUrl, method, path, body)
  if (answer.status !== expected) throw new Error(`${method} ${path}: ${answer.status}`)
  return answer.body
}

async function open(ttlSeconds = 600): Promise<string> {
  const { id } = (await api('POST', '/v1/leases', { repository: 'r.git', ttlSeconds }, 201)) as { id: string }
  model.opened(id)
  return id
}

async function end(id: string, refs?: readonly string[]): Promise<void> {
  await api('DELETE', `/v1/leases/${id}`, { refs }, 204)
  model.changed(refs, id)
}

/** Makes a change, which Git may refuse. @returns what it may have changed */
async function change(): Promise<string[]> {
  const target = random.pick(names)
  const kind = random.below(12)
  if (kind === 0) {
    await runGit(repository.directory, ['symbolic-ref', 'HEAD', target])
    return ['HEAD']
  }
  if (kind === 1) {
    const name = random.pick(['refs/heads/s', 'refs/heads/s2', 'refs/heads/b'])
    await runGit(repository.directory, ['symbolic-ref', name, target])
    return [name]
  }
  if (kind === 2) {
    await runGit(repository.directory, ['pack-refs', '--all', ...(random.below(2) ? ['--no-prune'] : [])])
    return [target]
  }
  const changed = new Set(Array.from({ length: 1 + random.below(3) }, () => random.pick(names)))
  const lines = [...changed].map((name) => {
    if (random.below(5) === 0) return `option no-deref\ndelete ${name}\n`
    return `option no-deref\nupdate ${name} ${random.pick(repository.commits)}\n`
  })
  await runGit(repository.directory, ['update-ref', '--stdin'], { input: lines.join('') })
  return [...changed]
}

/** Changes a ref that is listed and no symbolic one, so that the rule asks for a splice. */
async function update(): Promise<string[]> {
  const { stdout } = await runGit(repository.directory, [
    ...['for-each-ref', '--format=%(if)%(symref)%(then)%(else)%(refname)%(end)', 'refs/heads'],
  ])
  const name = random.pick(stdout.toString().split('\n').filter(Boolean).concat('refs/heads/main'))
  await runGit(repository.directory, ['update-ref', '--no-deref', name, random.pick(repository.commits)])
  return [name]
}

const kinds: Record<string, () => Promise<void>> = {
  'named update': async () => end(await open(), await update()),
  'again named update': async () => end(await open(), await update()),
  'named change': async () => end(await open(), await change()),
  'several named changes': async () => {
    for (let count = 2 + random.below(3); count > 0; count--) await end(await open(), await change())
  },
  'unnamed change': async () => {
    const id = await open()
    await change()
    await end(id)
  },
  'overlapping leases': async () => {
    const first = await open()
    const second = await open()
    const changed = await update()
    await end(first, changed)
    if (random.below(2) === 0) await check('between')
    const later = random.below(4) === 0 ? await change() : await update()
    await end(second, random.below(3) > 0 ? later : undefined)
  },
  'lease that expires': async () => {
    const ended = () => sidecar.metric('refstream_leases_ended_total', { end: 'expired' })
    const before = await ended()
    const id = await open(0.05)
    await change()
    await eventually('it expires', async () => (await ended()) > before)
    model.changed(undefined, id)
  },
  'lease without a change': async () => {
    const id = await open()
    await api('DELETE', `/v1/leases/${id}`, { changed: false }, 204)
    model.unchanged(id)
  },
  invalidation: async () => {
    await change()
    await api('POST', '/v1/invalidate', { repository: 'r.git' }, 204)
    model.changed(undefined)
  },
}

/** Returns the count of listings, by result, when all have been kept or dropped: a lease that is opened before has one dropped. */
async function counts(): Promise<Map<string, number>> {
  await eventually('no listing is being made', async () => {
    const [begun, ended] = await Promise.all([
      sidecar.metric('refstream_splices_total', { kind: 'listing' }),
      sidecar.metric('refstream_fills_total', { kind: 'listing' }),
    ])
    return begun === ended
  })
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  const series = text.matchAll(/^refstream_splices_total\{kind="listing",result="([\w-]+)"\} (\d+)$/gm)
  return new Map([...series].map(([, result, count]) => [result as string, Number(count)]))
}

const totals = new Map<string, number>()
const list: Question = { peel: true, symrefs: true, unborn: true, prefixes: [] }
const questions: readonly Question[] = [list, 'v0', 'v1']

async function check(what: string): Promise<void> {
  const before = await counts()
  const right = await answersOfGit(root, repository, questions)
  for (const [index, question] of questions.entries()) {
    const answer = await client.answer(repository, question, 'identity')
    const version = typeof question === 'object' ? 'v2' : question
    if (answer !== right[index]) t.equal(answer, right[index], `${what}: ${version}, seed ${seed}`)
  }
  const expected = model.asked(right[0]!)
  const found = [...(await counts())].flatMap(([result, count]) =>
    Array<string>(count - (before.get(result) ?? 0)).fill(result),
  )
  t.same(found, expected === undefined ? [] : [expected], what)
  totals.set(expected ?? 'kept', (totals.get(expected ?? 'kept') ?? 0) + 1)
}

t.test('after each step the answers are those of Git, and splices are what the rule says', async (t) => {
  await check('the first listing')
  for (let step = 0; step < steps; step++) {
    const [name, run] = random.pick(Object.entries(kinds))
    await run()
    await check(`step ${step}, ${name}`)
  }
  t.comment([...totals].map(([result, count]) => `${count} ${result}`).join(', '))
  t.ok((totals.get('spliced') ?? 0) >= steps / 8, 'enough of them are splices')
})
