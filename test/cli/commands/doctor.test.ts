import t, { type Test } from 'tap'
import { execFile, spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Authority } from '../../support/certificates.js'
import { git, initBare, makeRepository } from '../../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

interface Told {
  readonly code: number
  readonly lines: string[]
  readonly stderr: string
}

const doctor = (...args: string[]): Promise<Told> => doctorAs(undefined, {}, ...args)

function doctorAs(
  user: number | undefined,
  environment: NodeJS.ProcessEnv,
  ...args: string[]
): Promise<Told> {
  const as = user === undefined ? {} : { uid: user, gid: user }
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [program, 'doctor', ...args],
      { env: { ...cleanEnvironment, ...environment }, ...as },
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode ?? -1, lines: stdout.trimEnd().split('\n'), stderr })
      },
    )
  })
}

t.test('the report has a line for each check', async (t) => {
  const root = tempDir(t)
  const deep = makeRepository(root, 'deep.git')
  for (const name of ['a', 'b', 'c']) git(deep, 'update-ref', `refs/heads/${name}/x`, 'main')
  initBare(root, 'hidden.git', { exported: false })
  initBare(root, 'mirrors/m.git')
  initBare(root, 'plain.git')
  const sidecar = await startSidecar(t, root)
  const admin = ['--admin', sidecar.adminUrl.replace('http://', '')]
  const rules = ['--freshness', 'mirrors/*=lease', '--max-ref-directories', '5']
  const cache = ['--cache-dir', sidecar.cacheDir]
  const { code, lines, stderr } = await doctor('--root', root, ...admin, ...rules, ...cache)
  t.same([code, stderr], [0, ''])
  const unleased = 'changes without a lease are seen after 10 s at the latest'
  t.match(lines, [
    /^git: \/.*\/git, version 2\.[\d.]+$/,
    `sidecar: ready at ${sidecar.adminUrl}`,
    /^cache: .*, writable, [\d.]+ [KMG]iB free$/,
    new RegExp(`^root: ${realpathSync(root)}, on \\S+, [\\d.]+ [KMG]iB free$`),
    /^clock: within 10 s of that of the filesystem of \//,
    `deep.git: lease, too many directories under refs/; ${unleased}`,
    `hidden.git: observe, on a local filesystem; not exported, so not served: touch ${realpathSync(root)}/hidden.git/git-daemon-export-ok, or serve with --export-all`,
    `mirrors/m.git: lease, by the rule for mirrors/*; ${unleased}`,
    'plain.git: observe, on a local filesystem',
  ])
  t.equal(lines.length, 9)

  await sidecar.stop()
  const some = await doctor('--root', root, ...admin, ...cache, '--export-all', 'hidden', 'nothing.git')
  t.equal(some.code, 1)
  t.match(some.lines.slice(1), [
    /^sidecar: no sidecar answers at http:.*ECONNREFUSED/,
    /^cache: /,
    /^root: /,
    /^clock: /,
    'hidden: observe, on a local filesystem',
    'problem: nothing.git: no repository',
  ])
})

t.test('rules that apply to no repository are reported', async (t) => {
  const root = tempDir(t)
  initBare(root, 'a.git')
  const admin = ['--admin', `unix:${join(root, 'no.sock')}`]
  const rules = ['--access', 'a=read:ci, b/**=push:x+y, **=read:*', '--freshness', 'c=lease, auto']
  const { code, lines } = await doctor('--root', root, ...admin, ...rules)
  t.equal(code, 0)
  t.match(lines.slice(5), [
    /^a\.git: observe/,
    /^--access: the rule b\/\*\*=push:x\+y matches no repository; .*/,
    /^--freshness: the rule c=lease matches no repository; .*/,
  ])
  t.equal(lines.length, 8)
  t.equal(
    (await doctor('--root', root, ...admin, ...rules, 'a.git')).lines.length,
    6,
    'some of many tell nothing',
  )
})

t.test('an old Git and a missing root', async (t) => {
  const root = tempDir(t)
  const old = join(tempDir(t), 'git')
  writeFileSync(old, '#!/bin/sh\n[ "$1" = --version ] && { echo git version 2.20.1; exit; }\nexec git "$@"\n')
  chmodSync(old, 0o755)
  const admin = ['--admin', `unix:${join(root, 'no.sock')}`]
  t.match(await doctor('--root', root, ...admin, '--git', old), {
    code: 1,
    lines: [
      /^problem: git: .*version 2\.20\.1, is not supported: 2\.39 is the oldest/,
      /no sidecar answers at unix:/,
    ],
  })
  t.match(await doctor('--root', join(root, 'nothing')), { code: 2, stderr: /^refstream: --root: .*\n$/ })
})

/** No sidecar, and a cache that works. */
const alone = (t: Test): string[] => [
  ...['--admin', `unix:${join(tempDir(t), 'no.sock')}`],
  ...['--cache-dir', join(tempDir(t), 'cache')],
]

t.test('nothing to serve', async (t) => {
  const root = tempDir(t)
  mkdirSync(join(root, 'a/b'), { recursive: true })
  const { code, lines } = await doctor('--root', root, ...alone(t))
  t.equal(code, 1)
  t.equal(lines.at(-1), `problem: no repository below ${realpathSync(root)}`)
  t.equal(lines.length, 6)
})

t.test('repositories that Git cannot list are reported with its message', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'good.git')
  const future = initBare(root, 'future.git')
  git(future, 'config', 'core.repositoryFormatVersion', '9')
  const broken = makeRepository(root, 'broken.git')
  writeFileSync(join(broken, 'packed-refs'), 'nonsense\n')
  const reftable = initBare(root, 'reftable.git')
  makeReftable(reftable)
  initBare(root, 'damaged.git')
  writeFileSync(join(root, 'damaged.git/HEAD'), 'nonsense\n')
  const wrapper = join(tempDir(t), 'git')
  const script = '#!/bin/sh\n[ "$1" = --version ] && { echo git version 2.39.5; exit; }\nexec git "$@"\n'
  writeFileSync(wrapper, script, { mode: 0o755 })
  const { code, lines } = await doctor('--root', root, '--git', wrapper, ...alone(t))
  t.equal(code, 1)
  const told = (name: string): string | undefined =>
    lines.find((line) => line.replace('problem: ', '').startsWith(`${name}: `))
  t.equal(told('good.git'), 'good.git: observe, on a local filesystem')
  t.match(told('future.git'), /Git cannot list its refs: fatal: .*version.*9$/)
  t.match(told('broken.git'), /Git cannot list its refs: fatal: unexpected line in .*packed-refs: nonsense$/)
  t.match(told('damaged.git'), /not a repository that Git accepts: its HEAD, objects or refs are damaged/)
  if (knowsNoReftable)
    t.match(told('reftable.git'), /Git 2\.39\.5 cannot read it: .*reftable.*since 2\.45 \(fatal: /)
  t.equal(lines.length, 10)
})

const knowsNoReftable = !/reftable/.test(gitHelp())

/** `git init -h` names --ref-format since Git 2.45, which brought reftable. */
function gitHelp(): string {
  const { stdout } = spawnSync('git', ['init', '-h'], { encoding: 'utf8' })
  return stdout.replaceAll('--ref-format', 'reftable')
}

/** An empty repository as Git with the reftable backend makes it (gitrepository-layout(5)). */
function makeReftable(repository: string): void {
  writeFileSync(
    join(repository, 'config'),
    '[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\trefStorage = reftable\n',
  )
  writeFileSync(join(repository, 'HEAD'), 'ref: refs/heads/.invalid\n')
  rmSync(join(repository, 'refs'), { recursive: true })
  mkdirSync(join(repository, 'refs'))
  writeFileSync(join(repository, 'refs/heads'), 'this repository uses the reftable format\n')
  mkdirSync(join(repository, 'reftable'))
  writeFileSync(join(repository, 'reftable/tables.list'), '')
}

t.test('the time for a listing is limited', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = join(tempDir(t), 'git')
  writeFileSync(wrapper, '#!/bin/sh\n[ "$1" != upload-pack ] || exec sleep 1000\nexec git "$@"\n', {
    mode: 0o755,
  })
  const limits = ['--git', wrapper, '--fill-timeout-seconds', '0.2']
  const { code, lines } = await doctor('--root', root, ...limits, ...alone(t))
  t.same([code, lines.at(-1)], [1, 'problem: r.git: Git has not listed its refs within 0.2 s'])
})

t.test('links out of the root are reported under each of their names', async (t) => {
  const root = tempDir(t)
  const outside = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  makeRepository(outside, 'b.git')
  mkdirSync(join(outside, 'no-repository'))
  symlinkSync(join(outside, 'b.git'), join(root, 'b.git'))
  symlinkSync(join(outside, 'no-repository'), join(root, 'other'))
  symlinkSync('r.git', join(root, 'inside.git'))
  symlinkSync('nowhere', join(root, 'broken'))
  const all = await doctor('--root', root, ...alone(t))
  const reason = `outside of the root, at ${outside}/b.git, and so not served`
  t.equal(all.code, 1)
  t.match(all.lines.slice(5), [new RegExp(`^problem: b\\.git: ${reason}`), 'r.git: observe'])
  t.equal(all.lines.length, 7)
  const named = await doctor('--root', root, ...alone(t), 'b', 'b.git', 'inside', 'other')
  t.match(named.lines.slice(5), [
    `problem: b: ${reason}`,
    `problem: b.git: ${reason}`,
    'inside: observe',
    /^problem: other: outside/,
  ])
})

t.test('names that are not UTF-8 are not reported', async (t) => {
  const root = tempDir(t)
  const path = makeRepository(root, 'made.git')
  renameSync(path, Buffer.from(`${root}/caf\xe9.git`, 'latin1'))
  const { code, lines } = await doctor('--root', root, ...alone(t))
  t.equal(code, 0, lines.join('\n'))
  t.match(lines[5], /^caf.*\.git: observe, on a local filesystem$/)
  t.equal(lines.length, 6)
})

const superuser = process.getuid?.() === 0
t.test('unreadable repositories and directories', { skip: !superuser }, async (t) => {
  const root = tempDir(t)
  chmodSync(root, 0o755)
  makeRepository(root, 'r.git')
  const head = makeRepository(root, 'head.git')
  chmodSync(join(head, 'HEAD'), 0)
  mkdirSync(join(root, 'group'))
  makeRepository(join(root, 'group'), 'x.git')
  chmodSync(join(root, 'group'), 0o700)
  const nobody = 65534
  const cache = tempDir(t)
  chmodSync(cache, 0o777)
  const flags = ['--root', root, '--admin', `unix:${cache}/no.sock`]
  const { code, lines } = await doctorAs(nobody, {}, ...flags, '--cache-dir', cache)
  t.equal(code, 1)
  t.match(lines.slice(2), [
    /^cache: .*, writable/,
    /^root: .*, not writable by this user$/,
    /^clock: /,
    'problem: group: cannot be read: EACCES',
    /^problem: head\.git: cannot be read: EACCES at .*HEAD$/,
    'r.git: observe',
  ])
  t.equal(lines.length, 8)
  t.same(readdirSync(cache), [], 'nothing is left in the cache directory')
  chmodSync(cache, 0o755)
  const named = await doctorAs(nobody, {}, ...flags, '--cache-dir', cache, 'group/x.git', 'head.git', 'r')
  t.equal(named.code, 1)
  t.match(named.lines.slice(2), [
    /^problem: cache: .* cannot be written: EACCES.*; requests are served uncached$/,
    /^root: /,
    'problem: group/x.git: cannot be read: EACCES',
    'problem: head.git: cannot be read: EACCES',
    'r: observe',
  ])
  chmodSync(root, 0o711)
  const { lines: hidden } = await doctorAs(nobody, {}, ...flags)
  t.match(hidden.slice(-2), [/^problem: \.: cannot be read: EACCES/, /^problem: no repository below /])
  const inner = join(root, 'inner/root')
  mkdirSync(inner, { recursive: true })
  chmodSync(join(root, 'inner'), 0o700)
  const closed = ['--root', inner, ...flags.slice(2)]
  t.match((await doctorAs(nobody, {}, ...closed)).stderr, /^refstream: --root: cannot use .*EACCES/m)
})

t.test('a repository whose state is never settled', async (t) => {
  const root = tempDir(t)
  const hidden = initBare(root, 'hidden.git')
  git(hidden, 'config', 'include.path', '%(prefix)/nothing')
  const flags = ['--root', root, ...alone(t)]
  const { code, lines } = await doctor(...flags)
  t.match(
    [code, lines.at(-1)],
    [0, /^warning: hidden\.git: observe, .*; each answer costs a Git process, since/],
  )
  t.match(
    (await doctor(...flags, '--freshness', 'lease')).lines.at(-1),
    /^hidden\.git: lease, .* at the latest$/,
  )
})

t.test('settings reach the checks of certificates, secrets and upstreams', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const { cert, key } = new Authority(t).issue({ days: 2 })
  chmodSync(key, 0o644)
  const tls = ['--tls-cert', cert, '--tls-key', key]
  const { code, lines } = await doctor(
    '--root',
    root,
    ...tls,
    '--upstream',
    'http://127.0.0.1:9',
    ...alone(t),
  )
  t.equal(code, 1)
  t.match(lines.slice(4), [
    /^warning: secret: every user of this machine can read \S+ of --tls-key/,
    /^warning: certificate: \S+ of --tls-cert expires on \S+, in 1 day: /,
    /^problem: upstream 127\.0\.0\.1:9: cannot connect/,
    /^clock: /,
    /^r\.git: observe/,
  ])
  const { code: alright } = await doctor('--root', root, ...tls, ...alone(t))
  t.equal(alright, 0, 'warnings alone')
})

t.test('GIT_HTTP_EXPORT_ALL counts, as for serve', async (t) => {
  const root = tempDir(t)
  initBare(root, 'r.git', { exported: false })
  const told = await doctorAs(undefined, { GIT_HTTP_EXPORT_ALL: '' }, '--root', root, ...alone(t))
  t.equal(told.lines.at(-1), 'r.git: observe, on a local filesystem')
  const off = ['--no-export-all', '--root', root, ...alone(t)]
  t.match((await doctorAs(undefined, { GIT_HTTP_EXPORT_ALL: '' }, ...off)).lines.at(-1), /not exported/)
})

t.test('an argument is not taken for the value of a switch', async (t) => {
  const root = tempDir(t)
  for (const name of ['one.git', 'true']) initBare(root, name, { exported: false })
  for (const flags of [['--export-all'], ['--no-export-all', '--export-all=true']]) {
    const { code, lines } = await doctor('--root', root, ...alone(t), ...flags, 'true', 'one.git')
    t.equal(code, 0)
    t.same(lines.slice(5), [
      'true: observe, on a local filesystem',
      'one.git: observe, on a local filesystem',
    ])
  }
})

t.test('settings that serve refuses are refused', async (t) => {
  const root = tempDir(t)
  const flags = ['--root', root, '--listen', '0.0.0.0:0', '--webhook-secret-file', join(root, 'none')]
  const { code, stderr } = await doctor(...flags)
  t.equal(code, 2)
  t.match(stderr.trimEnd().split('\n'), [
    /^refstream: --listen: .*--insecure-no-auth$/,
    /--webhook-secret-file: .*ENOENT/,
  ])
})
