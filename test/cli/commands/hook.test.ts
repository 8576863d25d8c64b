import t from 'tap'
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from '../../../src/git/process/installation.js'
import { FakeAdmin } from '../../support/fake-admin.js'
import { hookOf, notes, pathWith, run, type Ran } from '../../support/hooked.js'
import { initBare } from '../../support/repositories.js'
import { program } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

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
    `two.git: installed, admin ${address} (reachable), chained to the earlier hook`,
    'other.git: not installed; another reference-transaction hook is there',
  ])
  t.match(fake.take(), ['open', 'end false', 'open', 'end false'], 'each was tried, and promised no change')
  fake.close()
  writeFileSync(hookOf(join(cwd, 'one.git')), '# older\n', { flag: 'a' })
  const status = await hook(cwd, 'status', 'one.git')
  t.match(
    status.output,
    /^one\.git: installed, admin http:.* \(not reachable: .*\), nothing chained, installed by another version; install it again$/,
  )
  t.equal(status.status, 1)
  const removed = await hook(cwd, 'remove', 'one.git', 'one.git', 'other.git')
  t.same(removed.output.split('\n'), [
    'one.git: removed',
    'one.git: not installed',
    'other.git: not installed',
  ])
  t.equal(removed.status, 0)
  t.equal((await hook(cwd, 'status', 'one.git')).output, 'one.git: not installed')
})

t.test('a repository that fails is reported in a line, and the others are processed', async (t) => {
  const cwd = tempDir(t)
  initBare(cwd, 'good.git')
  initBare(cwd, 'blocked.git')
  mkdirSync(join(cwd, 'plain'))
  mkdirSync(`${hookOf(join(cwd, 'blocked.git'))}/x`, { recursive: true })
  const fake = await FakeAdmin.start(t)
  fake.status = 503
  const admin = ['--admin', fake.address]
  const { status, output } = await hook(
    cwd,
    'install',
    ...admin,
    'nothing',
    'plain',
    'blocked.git',
    'good.git',
  )
  t.equal(status, 2)
  t.match(output.split('\n').sort(), [
    new RegExp(
      `^good\\.git: installed, admin ${fake.address} \\(reachable, but no lease can be opened: status 503\\)$`,
    ),
    /^refstream: blocked\.git: .*\/hooks\/reference-transaction is not a file/,
    'refstream: nothing: there is no such directory',
    /^refstream: plain: Git finds no repository/,
  ])
  t.equal(output.split('\n').length, 4)
})

t.test('with an admin token, the report is what the hook will meet', async (t) => {
  for (const unix of [false, true]) {
    const skip = unix && !findProgram('curl', process.env['PATH']) && 'there is no curl'
    await t.test(unix ? 'Unix socket' : 'TCP', { skip }, async (t) => {
      const cwd = tempDir(t)
      const repository = initBare(cwd, 'r.git')
      const fake = await FakeAdmin.start(t, unix ? join(cwd, 'socket') : 0)
      fake.token = 's3cret'
      const install = (...flags: string[]) => hook(cwd, 'install', '--admin', fake.address, ...flags, 'r.git')
      const works = { status: 0, output: `r.git: installed, admin ${fake.address}` }
      const token = (text: string): string[] => {
        writeFileSync(join(cwd, 'token'), text)
        return ['--token-file', 'token']
      }
      for (const text of ['s3cret\n', 's3cret', 's3cret\r\n', 's3cret\nmore']) {
        t.same(await install(...token(text)), works, JSON.stringify(text))
        t.match(await hook(cwd, 'status', 'r.git'), { status: 0, output: /\(reachable\)/ })
      }
      t.equal(fake.open.size, 0, 'no lease is left')
      const refused = 'reachable, but no lease can be opened: a token is needed'
      for (const [flags, todo] of [
        [[], '; install it with --token-file'],
        [token('wrong\n'), ''],
      ] as const) {
        t.same(await install(...flags), { status: 1, output: `${works.output} (${refused}${todo})` })
        const status = await hook(cwd, 'status', 'r.git')
        t.equal(status.status, 1)
        t.match(status.output, `(${refused}${todo}), nothing chained`)
      }
      rmSync(join(cwd, 'token'))
      t.match((await hook(cwd, 'status', 'r.git')).output, refused, 'a token file that has gone since')
      fake.token = undefined
      fake.status = 429
      t.match(await hook(cwd, 'status', 'r.git'), { status: 1, output: /no lease can be opened: status 429/ })
      t.same(notes(repository), [])
    })
  }
})

t.test('an unusable token file is rejected, and nothing is installed', async (t) => {
  const cwd = tempDir(t)
  const repository = initBare(cwd, 'r.git')
  const file = (name: string, content: string): string => {
    writeFileSync(join(cwd, name), content)
    return name
  }
  mkdirSync(join(cwd, 'directory'))
  for (const [path, message] of [
    ['nothing', /nothing cannot be read: ENOENT/],
    ['directory', /directory is not a file/],
    ['/dev/null', /is not a file/],
    ['', /--token-file/],
    [file('empty', ''), /empty first line/],
    [file('late', '\ntoken\n'), /empty first line/],
    [file('spaces', 'two words\n'), /is no token/],
    [file('long', 'x'.repeat(100_000)), /too long/],
    [file('hashes', `ops:${'0'.repeat(64)}\n`), /the hook needs the token itself/],
    [file('line\nfeed', 'token\n'), /control character/],
  ] as const) {
    const { status, output } = await hook(cwd, 'install', '--token-file', path, 'r.git')
    t.equal(status, 2, path)
    t.match(output, message)
    t.notMatch(output, /installed/)
  }
  t.notOk(existsSync(hookOf(repository)))
})

const superuser = process.getuid?.() === 0
t.test('a token file that the pushing user cannot read', { skip: !superuser }, async (t) => {
  const cwd = tempDir(t)
  chmodSync(cwd, 0o755)
  const repository = initBare(cwd, 'r.git')
  chownSync(join(repository, 'refs'), 65534, 65534)
  const fake = await FakeAdmin.start(t)
  fake.token = 's3cret'
  writeFileSync(join(cwd, 'token'), 's3cret\n', { mode: 0o600 })
  const install = () => hook(cwd, 'install', '--admin', fake.address, '--token-file', 'token', 'r.git')
  t.match(await install(), {
    status: 0,
    output: /\(user 65534, who owns the repository, may not .* read .*token\)$/,
  })
  chmodSync(join(cwd, 'token'), 0o644)
  t.match(await install(), { status: 0, output: /[^)]$/ })
})

t.test('without bash and curl, no lease can be opened', async (t) => {
  const cwd = tempDir(t)
  initBare(cwd, 'r.git')
  const fake = await FakeAdmin.start(t)
  const options = { cwd, environment: { PATH: pathWith(t) } }
  const args = [program, 'hook', 'install', '--admin', fake.address, 'r.git']
  t.match(await run(options, process.execPath, ...args), {
    status: 1,
    output: /not reachable: .*curl: .*not found/,
  })
})

t.test('an invalid address is rejected', async (t) => {
  const { status, output } = await hook('/', 'install', '--admin', 'nowhere', 'r.git')
  t.equal(status, 2)
  t.match(output, /^error: .*--admin <ADDRESS>.*nowhere.*HOST:PORT.*$/)
})
