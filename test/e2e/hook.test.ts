import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync } from 'node:fs'
import { readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { installHook } from '../../src/git/hook/hook.js'
import { findProgram } from '../../src/git/process/installation.js'
import { FakeAdmin, type Call } from '../support/fake-admin.js'
import { gitIn, hookOf, installPatientHook, notes, pathWith, run, type Ran } from '../support/hooked.js'
import { addPackedBranches, gitEnvironment, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

interface Place {
  readonly admin: FakeAdmin
  readonly root: string
  readonly repository: string
}

/** A repository with a branch main and the hook, and the admin server that the hook calls. */
async function place(t: Test, options: { name?: string; unix?: boolean } = {}): Promise<Place> {
  const root = realpathSync(tempDir(t))
  const repository = makeRepository(root, options.name ?? 'r.git')
  const admin = await FakeAdmin.start(t, options.unix ? join(root, 's') : 0)
  await installPatientHook(repository, admin.address)
  return { admin, root, repository }
}

const createBranch = (repository: string, name: string, PATH = process.env['PATH']): Promise<Ran> =>
  run(
    { cwd: repository, environment: { PATH } },
    'git',
    'update-ref',
    `refs/heads/${name}`,
    'refs/heads/main',
  )

const pair = ['open', 'end true']
/** The result of Git without an error. */
const quiet: Ran = { status: 0, output: '' }

/** Returns the repository that a call names. */
const named = (call: Call | undefined): unknown => (call?.body as { repository: unknown }).repository

/** Checks that no lease is open and the hook has no notes. */
function nothingLeft(t: Test, { admin, repository }: Place): void {
  t.same([...admin.open.keys()], [], 'no lease is open')
  t.same(notes(repository), [], 'no notes are left')
}

t.test('a transaction opens a lease and ends it', async (t) => {
  for (const [client, unix] of [
    ['bash', false],
    ['curl', false],
    ['curl', true],
  ] as const) {
    const skip = !findProgram(client, process.env['PATH']) && `there is no ${client}`
    await t.test(`${client}, ${unix ? 'Unix socket' : 'TCP'}`, { skip }, async (t) => {
      const here = await place(t, { unix })
      const path = pathWith(t, client)
      t.same(await createBranch(here.repository, 'one', path), quiet)
      const [opened] = here.admin.calls
      t.same(opened?.body, {
        repository: here.repository,
        ttlSeconds: 60,
        reason: 'reference-transaction',
      })
      t.same(here.admin.take(), pair)
      const abort = 'start\ncreate refs/heads/two refs/heads/main\nprepare\nabort\n'
      const options = { cwd: here.repository, input: abort, environment: { PATH: path } }
      await gitIn(options, 'update-ref', '--stdin')
      t.same(here.admin.take(), ['open', 'end false'])
      nothingLeft(t, here)
    })
  }
})

t.test('without curl and bash there is no lease, and Git is not affected', async (t) => {
  const here = await place(t)
  t.same(await createBranch(here.repository, 'one', pathWith(t)), quiet)
  t.same(here.admin.take(), [])
  nothingLeft(t, here)
})

t.test('the lease names the path of the repository, with any characters in it', async (t) => {
  const here = await place(t, { name: 'a "b\\c" d\' $x ü%.git' })
  const environment = { LC_ALL: 'C.UTF-8' }
  await gitIn({ cwd: here.repository, environment }, 'update-ref', 'refs/heads/one', 'main')
  t.equal(named(here.admin.calls[0]), here.repository)
  t.same(here.admin.take(), pair)

  const odd = join(here.root, 'a\nb.git')
  renameSync(here.repository, odd)
  t.same(await createBranch(odd, 'two'), quiet)
  t.same(here.admin.take(), [], 'a path that JSON cannot carry opens no lease')
  t.same(notes(odd), [])
})

t.test('a worktree’s lease names the common directory', async (t) => {
  const { root, repository: bare } = await place(t)
  const main = join(root, 'main')
  await gitIn(root, 'clone', '--quiet', bare, main)
  const admin = await FakeAdmin.start(t)
  await installPatientHook(join(main, '.git'), admin.address)
  const linked = join(root, 'linked')
  await gitIn(main, 'worktree', 'add', '--quiet', linked)
  mkdirSync(join(main, 'below'))
  admin.take()
  const places = [main, join(main, 'below'), join(main, '.git'), linked]
  for (const [index, cwd] of places.entries()) {
    await gitIn(cwd, 'update-ref', `refs/heads/n${index}`, 'HEAD')
    t.equal(named(admin.calls[0]), join(main, '.git'), cwd)
    t.same(admin.take(), pair, cwd)
  }
  await gitIn(root, '--git-dir=main/.git', 'update-ref', 'refs/heads/other', 'HEAD')
  t.equal(named(admin.calls[0]), join(main, '.git'), 'a relative GIT_DIR')
  t.same(notes(join(main, '.git')), [])
})

t.test('pushes open and end leases', async (t) => {
  const here = await place(t)
  const source = makeRepository(here.root, 'source.git')
  await gitIn(source, 'push', '--quiet', here.repository, 'main:one', 'main:two', 'main:three')
  nothingLeft(t, here)
  const calls = here.admin.take()
  t.ok(calls.includes('open'))
  t.equal(calls.filter((call) => call === 'open').length, calls.filter((call) => call === 'end true').length)

  // More refs than a pipe's buffer; the hook reads none of them.
  addPackedBranches(source, 5000)
  await gitIn(source, 'push', '--quiet', '--atomic', here.repository, 'refs/heads/b/*:refs/heads/b/*')
  t.equal((await gitIn(here.repository, 'for-each-ref', 'refs/heads/b/')).split('\n').length, 5000)
  t.ok(here.admin.take().includes('open'))
  nothingLeft(t, here)

  await gitIn(source, 'push', '--quiet', '--atomic', '--delete', here.repository, 'one', 'two', 'b/000007')
  t.ok(here.admin.take().includes('open'))
  nothingLeft(t, here)
})

t.test('a chained hook runs with its arguments and can refuse a transaction', async (t) => {
  const here = await place(t)
  const seen = join(here.root, 'seen')
  const hook = hookOf(here.repository)
  rmSync(hook)
  writeFileSync(
    hook,
    `#!/bin/sh
{ echo "$@" "\${admin-} \${id-}" $(ls refstream | wc -l); cat; } >>'${seen}'
if [ "$1" = "$(cat '${here.root}/refuse')" ]; then exit 3; fi
`,
    { mode: 0o755 },
  )
  await installPatientHook(here.repository, here.admin.address)
  const log = (): string[] => {
    const lines = readFileSync(seen, 'utf8').trimEnd().split('\n')
    writeFileSync(seen, '')
    return lines
  }
  writeFileSync(join(here.root, 'refuse'), '')
  const commit = await gitIn(here.repository, 'rev-parse', 'main')
  const zero = '0'.repeat(commit.length)
  const environment = { admin: 'mine', id: 'too' }
  await gitIn({ cwd: here.repository, environment }, 'update-ref', 'refs/heads/one', commit, zero)
  const update = `${zero} ${commit} refs/heads/one`
  t.same(
    log(),
    ['prepared mine too 0', update, 'committed mine too 0', update],
    'its input and environment are what Git gave, and no lease is open while it runs',
  )
  t.same(here.admin.take(), pair)

  writeFileSync(join(here.root, 'refuse'), 'prepared\n')
  t.match(await createBranch(here.repository, 'two'), { status: 128, output: /aborted by hook/ })
  t.notOk(existsSync(join(here.repository, 'refs/heads/two')))
  t.same(
    log().filter((line) => /^[a-z]/.test(line)),
    ['prepared   0', 'aborted   0'],
  )
  t.same(here.admin.take(), [])
  nothingLeft(t, here)

  writeFileSync(join(here.root, 'refuse'), 'preparing\n')
  const preparing = await run({ cwd: here.repository }, hook, 'preparing')
  t.equal(preparing.status, 3, 'as Git 2.54 asks')
  t.same(here.admin.take(), [])
})

t.test('without a sidecar Git is not affected', async (t) => {
  const here = await place(t)
  here.admin.close()
  t.same(await createBranch(here.repository, 'one'), quiet)
  t.same(readdirSync(join(here.repository, 'refstream')), [])
})

t.test('a sidecar that never answers delays a push of many refs only once', async (t) => {
  for (const unix of [false, true]) {
    const here = await place(t, { unix })
    await installHook(here.repository, here.admin.address)
    here.admin.hanging = true
    const source = makeRepository(here.root, 'source.git')
    addPackedBranches(source, 50)
    const began = performance.now()
    await gitIn(source, 'push', '--quiet', here.repository, 'refs/heads/b/*:refs/heads/b/*')
    const seconds = (performance.now() - began) / 1000
    t.equal((await gitIn(here.repository, 'for-each-ref', 'refs/heads/b/')).split('\n').length, 50)
    const calls = here.admin.take()
    // One, and one more for every ten seconds (nine, by the clocks' granularity) that the push takes on a slow machine.
    const allowed = 2 + Math.ceil(seconds / 9)
    t.ok(calls.length >= 1 && calls.length <= allowed, `${calls.length} calls for 100 runs of the hook`)
    t.same(notes(here.repository), [])

    here.admin.hanging = false
    await installPatientHook(here.repository, here.admin.address)
    const slow = join(here.repository, 'refstream/slow')
    for (const since of ['0\n', '', 'x y\n', '99999999999\n']) {
      writeFileSync(slow, since)
      await gitIn(here.repository, 'update-ref', '--no-deref', 'refs/heads/one', 'refs/heads/main')
      t.same(here.admin.take(), pair, `it is asked again after ${JSON.stringify(since)}`)
      t.notOk(existsSync(slow))
    }
  }
})

t.test('a lease that is lost before the end is replaced by an invalidation', async (t) => {
  const here = await place(t)
  const child = spawn('git', ['update-ref', '--stdin'], { cwd: here.repository, env: gitEnvironment })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  child.stdin.write('start\ncreate refs/heads/one refs/heads/main\nprepare\n')
  await lines.next()
  t.equal((await lines.next()).value, 'prepare: ok')
  t.same([...here.admin.open.values()], [here.repository], 'it is open before anything has changed')
  // The sidecar is restarted.
  here.admin.open.clear()
  child.stdin.end('commit\n')
  await once(child, 'close')
  t.equal(named(here.admin.calls.at(-1)), here.repository)
  t.same(here.admin.take(), [...pair, 'invalidate'])
  nothingLeft(t, here)

  here.admin.status = 503
  await createBranch(here.repository, 'two')
  t.same(here.admin.take(), ['open', 'invalidate'], 'so is a lease that was refused')
  nothingLeft(t, here)
})

t.test('without a notes directory that can be written there is no lease', async (t) => {
  const here = await place(t)
  const directory = join(here.repository, 'refstream')
  rmSync(directory, { recursive: true })
  writeFileSync(directory, '')
  t.same(await createBranch(here.repository, 'one'), quiet)
  t.same(here.admin.take(), ['invalidate'], 'no lease whose id could not be stored')

  rmSync(directory)
  t.same(await createBranch(here.repository, 'two'), quiet)
  t.same(here.admin.take(), pair, 'a missing directory is made')
})

t.test('nested transactions end their own leases, and notes of dead processes are removed', async (t) => {
  const here = await place(t)
  const hook = hookOf(here.repository)
  const states = (...names: string[]): string => names.map((name) => `'${hook}' ${name}`).join('\n')
  const sh = (script: string): Promise<Ran> => run({ cwd: here.repository }, 'sh', '-c', `${script}\nexit 0`)
  const ends = (): string[] =>
    here.admin.calls.splice(0).flatMap(({ method, path, body }) => {
      return method === 'DELETE' ? `${path.split('/').at(-1)!} ${JSON.stringify(body)}` : []
    })
  await sh(states('prepared', 'prepared', 'aborted', 'prepared', 'committed', 'committed'))
  t.same(ends(), ['lease-_2 {"changed":false}', 'lease-_3 {"changed":true}', 'lease-_1 {"changed":true}'])
  nothingLeft(t, here)

  const chained = `${hook}.chained`
  writeFileSync(chained, '#!/bin/sh\n[ -z "$refuse" ]\n', { mode: 0o755 })
  const [prepare, refuse, abort, commit] = ['prepared', 'prepared', 'aborted', 'committed'].map((name) =>
    states(name),
  )
  await sh([prepare, 'export refuse=yes', refuse, abort, commit].join('\n'))
  t.same(
    ends(),
    ['lease-_4 {"changed":true}'],
    'a refused nested transaction does not end the lease of the outer one',
  )
  nothingLeft(t, here)
  rmSync(chained)

  const pause = 'date +%s >refstream/slow'
  await sh([prepare, pause, prepare, 'rm refstream/slow', commit, commit].join('\n'))
  t.same(
    here.admin.take(),
    ['open', 'invalidate', 'end true'],
    'a nested transaction without a lease does not end another one',
  )
  nothingLeft(t, here)

  await sh(states('aborted'))
  t.same(here.admin.take(), [], 'an aborted transaction that was never prepared')

  const left = join(here.repository, 'refstream', `$$.$(cat /proc/sys/kernel/hostname)`)
  await sh(`echo stale >"${left}"\n${states('prepared', 'committed')}`)
  t.same(
    ends(),
    ['lease-_6 {"changed":true}'],
    'the lease of a dead process of that number is not taken for one’s own',
  )
  t.same(notes(here.repository), ['stale'])

  const old = new Date(Date.now() - 600_000)
  for (let index = 0; index < 20; index++) {
    const path = join(here.repository, `refstream/${index}.elsewhere`)
    writeFileSync(path, 'stale\n')
    if (index > 0) utimesSync(path, old, old)
  }
  await createBranch(here.repository, 'one')
  t.equal(notes(here.repository).length, 2, 'old notes are removed, young ones kept')
})

t.test('operations for which Git runs the hook partly or not at all', async (t) => {
  const here = await place(t)
  const { admin, root, repository } = here
  const commit = await gitIn(repository, 'rev-parse', 'main')
  const other = await gitIn(repository, 'rev-parse', 'v1')
  await gitIn(repository, 'branch', 'topic', 'main')
  admin.take()
  const silent = async (what: string, ...args: string[]): Promise<void> => {
    await run({ cwd: repository }, 'git', ...args)
    t.same(admin.take(), [], `${what} tells nothing`)
  }
  await silent('a copied branch', 'branch', '-c', 'main', 'copy')
  t.equal(await gitIn(repository, 'rev-parse', 'copy'), commit, 'although it exists')
  await silent('a failed compare-and-swap', 'update-ref', 'refs/heads/main', other, other)
  await silent('configuration', 'config', 'transfer.hideRefs', 'refs/hidden')

  const paired = async (what: string, ...args: string[]): Promise<string[]> => {
    await gitIn(repository, ...args)
    const calls = admin.take()
    const count = (name: string): number => calls.filter((call) => call === name).length
    t.ok(count('open') > 0, `${what} opens leases`)
    t.equal(count('open'), count('end true') + count('end false'), 'and ends them')
    t.equal(count('invalidate') <= count('end true'), true)
    nothingLeft(t, here)
    return calls
  }
  const before = await gitIn(repository, 'for-each-ref')
  t.ok((await paired('pack-refs', 'pack-refs', '--all')).includes('end true'), 'as if refs had changed')
  t.equal(await gitIn(repository, 'for-each-ref'), before)
  await paired('an update to the same value', 'update-ref', 'refs/heads/main', commit)
  await paired('a renamed branch', 'branch', '-m', 'topic', 'moved')
  await paired('a deleted packed ref', 'update-ref', '-d', 'refs/heads/moved')
  await paired('a deleted tag', 'tag', '-d', 'v1')

  // A clone has the template's hooks only; some versions of Git never run them with `committed`.
  const template = join(root, 'template')
  mkdirSync(join(template, 'hooks'), { recursive: true })
  copyFileSync(hookOf(repository), join(template, 'hooks/reference-transaction'))
  await gitIn(root, 'clone', '--quiet', '--bare', '--template', template, repository, 'clone.git')
  t.equal(admin.take()[0], 'open')
  const clone = join(root, 'clone.git')
  t.same(notes(clone), [...admin.open.keys()], 'open leases are noted, and expire')
  admin.open.clear()
  await gitIn(clone, 'update-ref', 'refs/heads/new', commit)
  t.same(admin.take(), pair)
})

/** Returns what the leases that have ended say was changed. */
const changedRefs = ({ admin }: Place): unknown[] =>
  admin.calls
    .splice(0)
    .filter(({ method }) => method === 'DELETE')
    .map(({ body }) => (body as { refs?: unknown }).refs)

t.test('the end of a lease names the refs of the transaction', async (t) => {
  const here = await place(t)
  const { repository } = here
  const update = async (...names: string[]): Promise<unknown> => {
    const input = names.map((name) => `update ${name} refs/heads/main\n`).join('')
    await gitIn({ cwd: repository, input }, 'update-ref', '--stdin')
    return changedRefs(here)
  }
  t.same(await update('refs/heads/one', 'refs/tags/v1.0_a+b@c,d=e%f#g'), [
    ['refs/heads/one', 'refs/tags/v1.0_a+b@c,d=e%f#g'],
  ])
  t.same(await update('refs/heads/"odd"'), [undefined], 'a name that JSON would have to escape')
  t.same(await update('refs/heads/ü'), [undefined], 'bytes other than ASCII')
  t.same(await update('refs/heads/one', 'refs/heads/$x'), [undefined], 'one of several')
  t.same(await update('ORIG_HEAD'), [undefined], 'not below refs/')
  const many = Array.from({ length: 1000 }, (_, index) => `refs/heads/b/${index}`)
  t.same(await update(...many), [many])
  t.same(await update(...many, 'refs/heads/c'), [undefined], 'too many')
  t.same(await update(...many.slice(0, 200).map((name) => name + 'x'.repeat(200))), [undefined], 'too long')
  await gitIn(repository, 'update-ref', 'refs/heads/two', 'refs/heads/main')
  t.same(changedRefs(here), [['refs/heads/two']])
  await gitIn(repository, 'update-ref', '-d', 'refs/heads/one')
  for (const refs of changedRefs(here))
    t.equal(refs, undefined, 'a deletion may be the first half of a rename')
  await gitIn(repository, 'branch', '-m', 'two', 'renamed')
  for (const refs of changedRefs(here)) t.equal(refs, undefined, 'a rename')

  // A sidecar of an earlier version.
  await gitIn(repository, 'update-ref', 'refs/heads/two', 'main')
  here.admin.takesRefs = false
  here.admin.calls.splice(0)
  await gitIn(repository, 'update-ref', 'refs/heads/three', 'main')
  t.same(here.admin.take(), ['open', 'end true', 'end true'])
  nothingLeft(t, here)
})
