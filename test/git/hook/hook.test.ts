import t, { type Test } from 'tap'
import { chmodSync, chownSync, linkSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HookError } from '../../../src/git/hook/hook-error.js'
import { inspectHook, installHook, removeHook } from '../../../src/git/hook/hook.js'
import { FakeAdmin } from '../../support/fake-admin.js'
import { hookOf, installPatientHook, run } from '../../support/hooked.js'
import { git, initBare } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const admin = 'http://127.0.0.1:8081'
const script = '#!/bin/sh\nexit 0\n'
const both = ['reference-transaction', 'reference-transaction.chained']

const hooks = (repository: string): string[] =>
  readdirSync(join(repository, 'hooks')).filter((name) => name.startsWith('reference-transaction'))

const root = (t: Test): string => realpathSync(tempDir(t))

t.test('the hook is installed and removed', async (t) => {
  const repository = initBare(root(t), 'r.git')
  t.same(await inspectHook(repository), { hook: 'none', chained: false, current: false })
  t.equal(await removeHook(repository), false)
  await installHook(repository, admin)
  t.same(await inspectHook(repository), { hook: 'ours', admin, chained: false, current: true })
  t.same(hooks(repository), ['reference-transaction'])
  t.equal(statSync(hookOf(repository)).mode & 0o7777, 0o755)
  t.equal(await removeHook(repository), true)
  t.same(hooks(repository), [])
  t.notOk(existsSync(join(repository, 'refstream')))
})

t.test('an older version and its address are updated', async (t) => {
  const directory = root(t)
  const repository = initBare(directory, 'r.git')
  await installHook(repository, admin)
  writeFileSync(hookOf(repository), `${readFileSync(hookOf(repository), 'utf8')}# older\n`)
  t.match(await inspectHook(repository), { hook: 'ours', admin, current: false })

  const fake = await FakeAdmin.start(t, join(directory, "it's $here"))
  await installPatientHook(repository, fake.address)
  t.same(hooks(repository), ['reference-transaction'], 'it does not chain itself')
  t.match(await inspectHook(repository), { admin: fake.address })
  t.equal((await run({ cwd: repository }, hookOf(repository), 'committed')).status, 0)
  t.same(fake.take(), ['invalidate'], 'the quoted address is called')
})

t.test('an existing hook is chained and restored', async (t) => {
  const repository = initBare(root(t), 'r.git')
  const hook = hookOf(repository)
  const chained = `${hook}.chained`
  const write = (): void => writeFileSync(hook, script, { mode: 0o755 })
  write()
  t.match(await inspectHook(repository), { hook: 'another', chained: false })
  t.equal(await removeHook(repository), false)
  for (const time of ['first', 'second']) {
    await installHook(repository, admin)
    t.same(hooks(repository), both, time)
    t.equal(readFileSync(chained, 'utf8'), script)
  }
  t.match(await inspectHook(repository), { hook: 'ours', chained: true })

  const ours = readFileSync(hook)
  rmSync(hook)
  write()
  await t.rejects(installHook(repository, admin), { name: 'HookError', message: /there are both .*: merge/ })
  t.same(hooks(repository), both, 'nothing is lost, nothing new is left')
  writeFileSync(hook, ours)

  t.equal(await removeHook(repository), true)
  t.same(hooks(repository), ['reference-transaction'])
  t.equal(readFileSync(hook, 'utf8'), script)

  linkSync(hook, chained)
  await installHook(repository, admin)
  t.equal(readFileSync(chained, 'utf8'), script, 'after an installation that was killed half-way')
  t.match(await inspectHook(repository), { hook: 'ours', chained: true })
})

t.test('a hook that is a link is chained as a link', async (t) => {
  const repository = initBare(root(t), 'r.git')
  symlinkSync('../policy', hookOf(repository))
  writeFileSync(join(repository, 'policy'), script, { mode: 0o755 })
  await installHook(repository, admin)
  t.equal(readFileSync(join(repository, 'policy'), 'utf8'), script, 'its target is not changed')
  t.equal(readFileSync(`${hookOf(repository)}.chained`, 'utf8'), script)
})

t.test('worktrees share the hook', async (t) => {
  const directory = root(t)
  const work = join(directory, 'work')
  git(directory, 'init', '--quiet', 'work')
  rmSync(join(work, '.git/hooks'), { recursive: true, force: true })
  git(work, 'commit', '--quiet', '--allow-empty', '-m', 'one')
  git(work, 'worktree', 'add', '--quiet', '../linked')
  await installHook(join(directory, 'linked'), admin)
  t.same(hooks(join(work, '.git')), ['reference-transaction'])
  for (const path of [work, join(work, '.git')]) t.match(await inspectHook(path), { hook: 'ours' })
})

t.test('a hooks directory outside of the repository is refused', async (t) => {
  const directory = root(t)
  const shared = join(directory, 'hooks')
  const message = new RegExp(`its hooks are in ${shared}, outside of the repository`)
  const repository = initBare(directory, 'configured.git')
  const linked = initBare(directory, 'linked.git')
  git(directory, 'init', '--quiet', '--bare', 'hooks')
  git(repository, 'config', 'core.hooksPath', '../hooks')
  rmSync(join(linked, 'hooks'), { recursive: true })
  symlinkSync('../hooks', join(linked, 'hooks'))
  for (const path of [repository, linked]) {
    await t.rejects(installHook(path, admin), { name: 'HookError', message })
    await t.rejects(inspectHook(path), { name: 'HookError', message })
    await t.rejects(removeHook(path), { name: 'HookError', message })
  }
  t.notOk(existsSync(join(shared, 'reference-transaction')))
  git(repository, 'config', 'core.hooksPath', join(repository, 'hooks'))
  git(linked, 'config', 'core.hooksPath', join(linked, 'own'))
  await installHook(repository, admin)
  await installHook(linked, admin)
  t.match(await inspectHook(repository), { hook: 'ours' }, 'the advice of the message works')
  t.ok(existsSync(join(linked, 'own/reference-transaction')))
})

t.test('a path that is not a repository is refused', async (t) => {
  const repository = initBare(root(t), 'r.git')
  for (const path of ['nothing', 'description', 'refs', 'refs/heads']) {
    await t.rejects(installHook(join(repository, path), admin), HookError, path)
  }
  t.same(hooks(repository), [])
})

t.test('safe.bareRepository and safe.directory do not matter for a path that is given', async (t) => {
  const directory = root(t)
  const configuration = join(directory, 'gitconfig')
  writeFileSync(configuration, '[safe]\n\tbareRepository = explicit\n\tdirectory =\n')
  const bare = initBare(directory, 'bare.git')
  const work = join(directory, 'work')
  git(directory, 'init', '--quiet', 'work')
  git(work, 'commit', '--quiet', '--allow-empty', '-m', 'one')
  git(work, 'worktree', 'add', '--quiet', '../linked')
  git(directory, 'clone', '--quiet', '--separate-git-dir', 'elsewhere', 'work', 'separate')
  git(directory, 'clone', '--quiet', '--bare', 'work', join(work, 'inner'))
  symlinkSync('bare.git', join(directory, 'link.git'))
  const owned = initBare(directory, 'owned.git')
  if (superuser) chownSync(owned, 65534, 65534)
  const before = process.env['GIT_CONFIG_GLOBAL']
  process.env['GIT_CONFIG_GLOBAL'] = configuration
  t.teardown(() => {
    if (before === undefined) delete process.env['GIT_CONFIG_GLOBAL']
    else process.env['GIT_CONFIG_GLOBAL'] = before
  })
  const ways = [bare, owned, work, join(work, '.git'), join(work, 'inner'), join(directory, 'linked')]
  for (const path of [...ways, join(directory, 'separate'), join(directory, 'link.git')]) {
    await installHook(path, admin)
    t.match(await inspectHook(path), { hook: 'ours', admin }, path)
    t.equal(await removeHook(path), true)
  }
  t.same(hooks(join(directory, 'elsewhere')), [])
  mkdirSync(join(bare, 'no-repository'))
  await t.rejects(
    installHook(join(bare, 'no-repository'), admin),
    HookError,
    'a repository further up is not used',
  )
})

const superuser = process.getuid?.() === 0
t.test('a user who may write the refs may write the notes', { skip: !superuser }, async (t) => {
  const repository = initBare(root(t), 'r.git')
  const refs = join(repository, 'refs')
  chownSync(repository, 65534, 65534)
  chownSync(refs, 65534, 65533)
  chmodSync(refs, 0o2770)
  await installHook(repository, admin)
  const { uid, gid, mode } = statSync(join(repository, 'refstream'))
  t.same([uid, gid, mode & 0o7777], [65534, 65533, 0o2770])
})
