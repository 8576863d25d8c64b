import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Git } from '../../../src/git/process/git.js'
import { GitError } from '../../../src/git/process/git-error.js'
import { readServingConfig, type ServingConfig } from '../../../src/git/process/serving-config.js'
import { ProcessLimiter } from '../../../src/limits/process/process-limiter.js'
import { eventually } from '../../support/eventually.js'
import { makeRefObserver } from '../../support/ref-observations.js'
import { git, gitEnvironment, initBare, type InitOptions } from '../../support/repositories.js'

/** A repository, its serving configuration, and the number of Git processes that it took to find it. */
function setUp(t: Parameters<typeof makeRefObserver>[0], options: InitOptions = {}) {
  const looker = makeRefObserver(t)
  const path = initBare(looker.root, 'x.git', options)
  let processes = 0
  const program = new Git({
    path: 'git',
    environment: gitEnvironment,
    started: () => processes++,
  })
  const serving = async (): Promise<ServingConfig & { readonly processes: number }> => {
    processes = 0
    const { repository, config } = (await looker.now('x'))!
    return { ...(await readServingConfig(program, repository, config, '2.39.5')), processes }
  }
  return { path, serving, config: (...args: string[]) => git(path, 'config', ...args) }
}

t.test('by default refs are served and shared, and no process is started', async (t) => {
  const { serving, config } = setUp(t)
  t.match(await serving(), { uploadPack: true, shared: true, processes: 0 })
  config('uploadpack.allowFilter', 'true')
  config('http.receivepack', 'true')
  t.match(await serving(), { uploadPack: true, shared: true, processes: 0 })
})

t.test('http.uploadpack', async (t) => {
  const { serving, config } = setUp(t)
  for (const [value, uploadPack] of [
    ['false', false],
    ['0', false],
    ['off', false],
    ['', false],
    ['yes', true],
    ['2', true],
  ] as const) {
    config('http.uploadpack', value)
    t.match(await serving(), { uploadPack, shared: true, processes: 1 }, JSON.stringify(value))
  }
  config('--add', 'http.uploadpack', 'false')
  t.match(await serving(), { uploadPack: false }, 'the last one counts')
  config('--unset-all', 'http.uploadpack')
  config('http.https://example.com/.uploadpack', 'false')
  t.match(await serving(), { uploadPack: true }, 'for a URL it means nothing to a server')
})

t.test('with transfer.advertiseSID no answer is shared', async (t) => {
  const { serving, config } = setUp(t)
  config('transfer.advertiseSID', 'true')
  t.match(await serving(), { uploadPack: true, shared: false, processes: 1 })
  config('transfer.advertiseSID', 'false')
  t.match(await serving(), { uploadPack: true, shared: true, processes: 1 })
})

t.test('the object format', async (t) => {
  t.match(await setUp(t).serving(), { objectFormat: 'sha1', processes: 0 })
  t.match(await setUp(t, { objectFormat: 'sha256' }).serving(), { objectFormat: 'sha256', processes: 1 })
})

t.test('Git decides whether a conditional include applies', async (t) => {
  const { path, serving, config } = setUp(t)
  git(path, 'config', '-f', `${path}/extra`, 'http.uploadpack', 'false')
  config('includeIf.gitdir:/elsewhere/.path', 'extra')
  t.match(await serving(), { uploadPack: true, shared: true, processes: 1 })
  config(`includeIf.gitdir:${path}.path`, 'extra')
  t.match(await serving(), { uploadPack: false, shared: true, processes: 1 })
})

t.test('configuration that Git refuses is an error', async (t) => {
  const { path, serving, config } = setUp(t)
  config('http.uploadpack', 'perhaps')
  await t.rejects(serving(), GitError)
  writeFileSync(join(path, 'config'), '[core\n')
  await t.rejects(serving(), GitError)
})

t.test('Git is asked with a permit', async (t) => {
  const looker = makeRefObserver(t)
  git(initBare(looker.root, 'x.git'), 'config', 'http.uploadpack', 'false')
  const { repository, config } = (await looker.now('x'))!
  const some = { perGroup: 5, queueMax: 10, waitMs: 60_000 }
  const limiter = new ProcessLimiter({ limit: 3, fill: some, pack: { ...some, most: 1 }, pass: some })
  const program = new Git({ path: 'git', environment: gitEnvironment, limiter })
  const { release } = await limiter.acquire({ class: 'fill', group: 'another' })
  const serving = readServingConfig(program, repository, config, '2.39.5')
  await eventually('it waits', () => limiter.waiting('fill') === 1)
  t.equal(program.running, 0)
  release()
  t.match(await serving, { uploadPack: false })
  await eventually('its permit is free again', () => limiter.running('fill') === 0)
})
