import t from 'tap'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../support/sidecar.js'
import { ask, infoRefs } from '../support/http-client.js'
import { tempDir } from '../support/temp-dir.js'

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function refstream(args: string[], environment: NodeJS.ProcessEnv = {}): Result {
  const options = { env: { ...cleanEnvironment, ...environment }, timeout: 20_000, encoding: 'utf8' } as const
  return spawnSync(process.execPath, [program, ...args], options)
}

t.test('--version and --help', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  t.match(refstream(['--version']), { status: 0, stdout: `${version}\n` })
  const help = refstream(['serve', '--help'])
  t.equal(help.status, 0)
  for (const flag of [
    '--root <DIR>',
    '--listen <ADDRESS>',
    '--export-all',
    '--config <FILE>',
    'REFSTREAM_GIT',
  ]) {
    t.ok(help.stdout.includes(flag), flag)
  }
  const [, examples = ''] = help.stdout.split('\nExamples:\n')
  t.equal(examples.match(/^ {2}refstream serve /gm)?.length, 3, 'the help ends with three examples')
})

t.test('config check', async (t) => {
  const file = join(tempDir(t), 'refstream.toml')
  writeFileSync(file, 'listen = "127.0.0.1:80"\n')
  t.match(refstream(['config', 'check', file]), { status: 0, stdout: `${file}: ok\n` })
  writeFileSync(
    file,
    `root = ${JSON.stringify(tempDir(t))}\nlisten = "0.0.0.0:80"\ninsecure-no-auth = true\n`,
  )
  t.match(refstream(['config', 'check', file]), { status: 0, stdout: `${file}: ok\n` })
  writeFileSync(file, 'root = "/nonexistent"\nlisten = "0.0.0.0:80"\nadmin-token-file = "/nonexistent"\n')
  const refused = refstream(['config', 'check', file])
  t.same([refused.status, refused.stdout], [2, ''])
  t.match(refused.stderr.trimEnd().split('\n'), [
    /^refstream: --listen: .*--insecure-no-auth$/,
    /^refstream: --root: "\/nonexistent" is not a directory/,
    /^refstream: admin-tokens: cannot use \/nonexistent: ENOENT/,
  ])
  writeFileSync(file, 'lisen = "0.0.0.0:80"\n')
  const wrong = refstream(['config', 'check', file])
  t.equal(wrong.status, 2)
  t.match(
    wrong.stderr,
    /^refstream: .*toml:1: unknown key lisen .*0\.0\.0\.0:80.*did you mean listen\?.*allowed.* listen.*\n$/,
  )
})

t.test('serve without any setting says what to do next', async (t) => {
  const { status, stdout, stderr } = refstream(['serve'])
  t.same([status, stdout], [2, ''])
  const [mistake = '', ...steps] = stderr.split('\n')
  t.match(mistake, /^refstream: neither --root nor --upstream is given/)
  const commands = steps
    .filter((line) => line.startsWith('  refstream '))
    .map((line) => line.trim().split(' ').slice(1))
  t.equal(commands.length, 2)
  for (const command of commands) {
    const { stderr } = refstream([...command, '--listen', 'nowhere'])
    t.match(stderr, 'bad value "nowhere"', 'a command that refstream takes')
    t.notMatch(stderr, 'unknown flag')
  }
  const environment = { REFSTREAM_LOG_LEVEL: 'debug' }
  t.equal(
    refstream(['serve'], environment).stderr.trimEnd().split('\n').length,
    1,
    'with a setting: the mistake',
  )
})

t.test('a mistake is one line and exit code 2', async (t) => {
  const root = tempDir(t)
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  t.teardown(() => taken.close())
  const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`
  const mistakes: [string[], RegExp, NodeJS.ProcessEnv?][] = [
    [['serve', '--export-all'], /--root/],
    [['serve', '--root', join(root, 'nothing')], /--root.*nothing.*directory/],
    [['serve', '--root', root, '--listen', 'nowhere'], /--listen.*"nowhere".*HOST:PORT/],
    [['serve', '--root', root, '--listen', address], /--listen.*in use/],
    [['serve', '--root', root, '--listen', '127.0.0.1:0', '--admin', address], /--admin.*in use/],
    [['serve', '--root', root, '--git', '/nothing/git'], /--git.*\/nothing\/git/],
    [['serve', '--root', root, '--nonsense'], /--nonsense/],
    [['serve', '--root', root, '--config', '/nothing.toml'], /\/nothing\.toml/],
    [
      ['serve', '--root', root],
      /REFSTREAM_DRAIN_SECONDS.*"soon".*seconds/,
      { REFSTREAM_DRAIN_SECONDS: 'soon' },
    ],
    [['nonsense'], /nonsense/],
  ]
  for (const [args, message, environment] of mistakes) {
    const { status, stderr, stdout } = refstream(args, environment)
    t.equal(status, 2, args.join(' '))
    t.match(stderr, message)
    t.equal(stderr.trimEnd().split('\n').length, 1, 'one line')
    t.equal(stdout, '')
  }
})

t.test('settings from file, environment and flags, in a real run', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git', { exported: false })
  const file = join(tempDir(t), 'refstream.toml')
  writeFileSync(file, 'export-all = true\nlog-level = "silent"\n')
  const environment = {
    REFSTREAM_LOG_LEVEL: 'debug',
    REFSTREAM_CONFIG: file,
    REFSTREAM_PORT: 'tcp://1.2.3.4:5',
  }
  const sidecar = await startSidecar(t, root, { environment })
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200, 'the file exports all')
  const logged = (part: string) => () => sidecar.log.some(({ msg }) => String(msg).includes(part))
  await eventually('the environment beats its log level', logged('request'))
  await eventually('and has an unknown variable', logged('REFSTREAM_PORT'))
})

t.test('works without HOME, with its cache under the temporary directory', async (t) => {
  const root = tempDir(t)
  const temporary = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, { defaultCacheDir: true, environment: { TMPDIR: temporary } })
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200)
  t.equal(await sidecar.metric('refstream_store_errors_total'), 0)
  const { readdirSync } = await import('node:fs')
  t.match(readdirSync(temporary), [/^refstream-\d+$/])
})

const root = process.getuid?.() === 0
t.test('works as an unprivileged user, on another user’s repositories', { skip: !root }, async (t) => {
  const top = tempDir(t)
  chmodSync(top, 0o755)
  const repositories = join(top, 'repositories')
  mkdirSync(repositories)
  makeRepository(repositories, 'r.git')
  const cacheDir = join(top, 'cache')
  mkdirSync(cacheDir)
  chmodSync(cacheDir, 0o777)
  const nobody = 65534
  const sidecar = await startSidecar(t, repositories, {
    cacheDir,
    user: nobody,
    environment: { HOME: '/root' },
  })
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200, 'what is cached')
  t.equal((await ask(`${sidecar.url}/r.git/info/refs`)).status, 200, 'what is passed through')
  await eventually('its entry is kept', async () => (await sidecar.metric('refstream_store_entries')) === 1)
})
