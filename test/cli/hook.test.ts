import t from 'tap'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FakeAdmin } from '../support/fake-admin.js'
import { hookOf, run, type Ran } from '../support/hooked.js'
import { initBare } from '../support/repositories.js'
import { program } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** With variables that may be set wherever it is typed, and that must not matter. */
const hook = (cwd: string, ...args: string[]): Promise<Ran> =>
  run({ cwd, environment: { EDITOR: 'vi', GIT_DIR: '/nothing' } }, process.execPath, program, 'hook', ...args)

t.test('install, status, remove: a line for each repository', async (t) => {
  const cwd = tempDir(t)
  for (const name of ['one.git', 'two.git', 'other.git']) initBare(cwd, name)
  writeFileSync(hookOf(join(cwd, 'two.git')), '#!/bin/sh\n', { mode: 0o755 })
  writeFileSync(hookOf(join(cwd, 'other.git')), '#!/bin/sh\n', { mode: 0o755 })
  const fake = await FakeAdmin.start(t)
  const { address } = fake

  const installed = await hook(cwd, 'install', '--admin', `127.0.0.1:${fake.port}`, 'one.git', 'two.git')
  t.same(installed.output.split('\n'), [
    `one.git: installed, admin ${address}`,
    `two.git: installed, admin ${address}`,
  ])
  t.equal(installed.status, 0)
  t.same((await hook(cwd, 'status', 'one.git', 'two.git', 'other.git')).output.split('\n'), [
    `one.git: installed, admin ${address} (reachable), nothing chained`,
    `two.git: installed, admin ${address} (reachable), chained to the hook that was there before`,
    'other.git: not installed; another reference-transaction hook is there',
  ])
  fake.close()
  writeFileSync(hookOf(join(cwd, 'one.git')), '# older\n', { flag: 'a' })
  t.equal(
    (await hook(cwd, 'status', 'one.git')).output,
    `one.git: installed, admin ${address} (not reachable), nothing chained, another version: install it again`,
  )
  const removed = await hook(cwd, 'remove', 'one.git', 'one.git', 'other.git')
  t.same(removed.output.split('\n'), [
    'one.git: removed',
    'one.git: not installed',
    'other.git: not installed',
  ])
  t.equal(removed.status, 0)
  t.equal((await hook(cwd, 'status', 'one.git')).output, 'one.git: not installed')
})

t.test('a repository that fails is told in a line, and the others are done', async (t) => {
  const cwd = tempDir(t)
  initBare(cwd, 'good.git')
  initBare(cwd, 'blocked.git')
  mkdirSync(join(cwd, 'plain'))
  mkdirSync(`${hookOf(join(cwd, 'blocked.git'))}/x`, { recursive: true })
  const { status, output } = await hook(cwd, 'install', 'nothing', 'plain', 'blocked.git', 'good.git')
  t.equal(status, 2)
  t.match(output.split('\n').sort(), [
    'good.git: installed, admin http://127.0.0.1:8081',
    /^refstream: blocked\.git: EISDIR/,
    'refstream: nothing: there is no such directory',
    /^refstream: plain: Git finds no repository/,
  ])
  t.equal(output.split('\n').length, 4)
})

t.test('an address that is none', async (t) => {
  const { status, output } = await hook('/', 'install', '--admin', 'nowhere', 'r.git')
  t.equal(status, 2)
  t.match(output, /^error: .*--admin <ADDRESS>.*nowhere.*HOST:PORT.*$/)
})
