// Libraries other than Git change refs, alternately with Git; after each change the sidecar's answers are those of Git.
// REFSTREAM_STEPS sets the number of steps of each, REFSTREAM_SEED the first seed.
import t from 'tap'
import { realpathSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { startSidecar } from '../support/sidecar.js'
import { createModelRepository, type RefFormat } from '../support/splices/model-repository.js'
import { refSteps } from '../support/splices/ref-steps.js'
import { commandOf, startWriter, stepsOf, type WriterKind } from '../support/splices/ref-writer.js'
import { checkSplices } from '../support/splices/splice-counts.js'
import { walk } from '../support/splices/walk.js'
import { tempDir } from '../support/temp-dir.js'
import { skipReason } from '../support/upstreams/programs.js'

const steps = Number(process.env['REFSTREAM_STEPS'] ?? 12)
const firstSeed = Number(process.env['REFSTREAM_SEED'] ?? 1)
// Long runs take as long as they take.
if ('REFSTREAM_STEPS' in process.env) t.setTimeout(0)

const root = realpathSync(tempDir(t))
const sidecar = await startSidecar(t, root, { args: ['--export-all'] })
const probe = ['init', '--quiet', '--bare', '--ref-format=reftable', join(tempDir(t), 'probe.git')]
const hasReftable = spawnSync('git', probe).status === 0

const scenes: { kind: WriterKind; refFormat: RefFormat }[] = [
  { kind: 'dulwich', refFormat: 'files' },
  { kind: 'libgit2', refFormat: 'files' },
  { kind: 'go-git', refFormat: 'files' },
  { kind: 'jgit', refFormat: 'files' },
]
// The others do not know reftable.
if (hasReftable) scenes.push({ kind: 'jgit', refFormat: 'reftable' })
// Git's own changes between those of the writer.
const ofGit = refSteps.filter(({ name }) =>
  ['one ref', 'pack-refs', 'directory for file and back'].includes(name),
)

for (const [index, { kind, refFormat }] of scenes.entries()) {
  const command = commandOf(kind)
  const skip = skipReason(kind, command ? undefined : `${kind} is not installed`)
  t.test(`${kind}, ${refFormat}`, { skip, timeout: 0 }, async (t) => {
    const seed = firstSeed + index
    const made = createModelRepository(t, root, { name: `${kind}-${refFormat}.git`, refFormat })
    // If go-git 5.19 deletes a packed tag, it leaves the line of its peeled object in packed-refs, which Git then cannot read.
    const repository = kind === 'go-git' ? { ...made, tags: made.commits } : made
    const writer = await startWriter(t, command!, repository.directory)
    const kinds = [...stepsOf(kind, writer), ...ofGit]
    const { counts, failed } = await walk({ root, repository, url: sidecar.url, seed, steps, kinds })
    const changes = [...counts.values()].reduce((sum, count) => sum + count, 0)
    t.comment(`seed ${seed}: ${[...counts].map(([name, count]) => `${count} ${name}`).join(', ')}`)
    t.ok(failed < changes / 2, `most changes are made, ${failed} of ${changes} failed`)
  })
}

t.teardown(() => {
  // What Git has reported may tell why an answer differs.
  if (!t.passing()) console.error(sidecar.log.filter(({ level }) => Number(level) >= 40).slice(-10))
})

t.test('there were splices', (t) => {
  const here = scenes.filter(({ kind }) => commandOf(kind)).length
  const least = here * Math.floor(steps / 8)
  return checkSplices(t, sidecar, { listing: least, advertisement: least })
})
