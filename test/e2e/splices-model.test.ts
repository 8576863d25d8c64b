// Random changes of repositories, and after each the sidecar's answers beside Git's. REFSTREAM_STEPS sets the number of steps
// of each walk, and REFSTREAM_SEED the first seed. With PATH=/opt/git/bin:$PATH another Git is tested.
import t from 'tap'
import { realpathSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { startSidecar } from '../support/sidecar.js'
import { fileSteps } from '../support/splices/file-steps.js'
import { createModelRepository, type ModelOptions } from '../support/splices/model-repository.js'
import { objectSteps, otherSteps } from '../support/splices/other-steps.js'
import { refSteps } from '../support/splices/ref-steps.js'
import { checkSplices } from '../support/splices/splice-counts.js'
import type { Step } from '../support/splices/step.js'
import { walk } from '../support/splices/walk.js'
import { tempDir } from '../support/temp-dir.js'

const steps = Number(process.env['REFSTREAM_STEPS'] ?? 12)
const firstSeed = Number(process.env['REFSTREAM_SEED'] ?? 1)
// Long runs take as long as they take.
if ('REFSTREAM_STEPS' in process.env) t.setTimeout(0)

const root = realpathSync(tempDir(t))
const sidecar = await startSidecar(t, root, { args: ['--export-all'] })
const probe = ['init', '--quiet', '--bare', '--ref-format=reftable', join(tempDir(t), 'probe.git')]
const hasReftable = spawnSync('git', probe).status === 0

t.teardown(() => {
  // What Git has reported may tell why an answer differs.
  if (!t.passing()) console.error(sidecar.log.filter(({ level }) => Number(level) >= 40).slice(-10))
})

interface Scene extends Omit<ModelOptions, 'name'> {
  readonly what: string
  readonly kinds: readonly Step[]
}

const common = [...refSteps, ...otherSteps]
const scenes: Scene[] = [
  { what: 'loose refs and packed refs', kinds: [...common, ...fileSteps] },
  { what: 'sha256', objectFormat: 'sha256', kinds: [...common, ...fileSteps] },
  { what: 'changes by Git alone', kinds: common },
  { what: 'a listing of several blocks', bulk: 2500, kinds: common },
  { what: 'a linked worktree', worktree: true, kinds: common },
  { what: 'objects that appear and go away', kinds: [...common, ...fileSteps, ...objectSteps] },
]
const reftableScenes: Scene[] = [
  { what: 'reftable', refFormat: 'reftable', kinds: common },
  { what: 'reftable, sha256', refFormat: 'reftable', objectFormat: 'sha256', kinds: common },
  { what: 'reftable, a listing of several blocks', refFormat: 'reftable', bulk: 2500, kinds: common },
]
const all = hasReftable ? [...scenes, ...reftableScenes] : scenes
if (!hasReftable) t.pass('reftable needs Git 2.45', { skip: true })

t.test('after each step the answers are those of Git', { timeout: 0 }, async (t) => {
  const walks = all.map(async ({ what, kinds, ...options }, index) => {
    const seed = firstSeed + index
    const repository = createModelRepository(t, root, { name: `scene-${index}.git`, ...options })
    const { counts, failed } = await walk({ root, repository, url: sidecar.url, seed, steps, kinds })
    const made = [...counts.values()].reduce((sum, count) => sum + count, 0)
    t.comment(`${what}, seed ${seed}: ${[...counts].map(([name, count]) => `${count} ${name}`).join(', ')}`)
    t.ok(failed < made / 2, `${what}: most changes are made, ${failed} of ${made} failed`)
  })
  const failures = walks.map((walked) =>
    walked.catch((error: unknown) => {
      const { message } = error as Error
      console.error(message)
      t.fail(message.slice(0, message.indexOf('\n')))
    }),
  )
  await Promise.all(failures)
  t.equal(await sidecar.metric('refstream_processes_running'), 0, 'no process is left')
  const least = all.length * Math.floor(steps / 8)
  await checkSplices(t, sidecar, { listing: least, advertisement: least })
})
