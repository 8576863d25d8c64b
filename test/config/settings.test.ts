import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crossCheck } from '../../src/config/cross-checks/cross-checks.js'
import { ConfigError } from '../../src/config/values/config-error.js'
import {
  checkFile,
  readEnvironment,
  readFile,
  readFlags,
  resolveSettings,
} from '../../src/config/settings.js'
import { tempDir } from '../support/temp-dir.js'

const toml = (t: Parameters<typeof tempDir>[0], text: string): string => {
  const path = join(tempDir(t), 'refstream.toml')
  writeFileSync(path, text)
  return path
}

t.test('defaults', async (t) => {
  const settings = resolveSettings(readFlags({ root: '/srv/git' }))
  t.match(settings, {
    root: '/srv/git',
    listen: { host: '127.0.0.1', port: 8080 },
    git: 'git',
    cacheMaxBytes: 1024 ** 3,
    drainSeconds: 30,
    logLevel: 'info',
  })
  t.equal(settings.admin, undefined)
})

t.test('flags beat the environment, which beats the file', async (t) => {
  const path = toml(t, 'root = "/file"\ngit = "/file/git"\ndrain-seconds = 7\nexport-all = true\n')
  const settings = resolveSettings(
    readFlags({ root: '/flag' }),
    readEnvironment({ REFSTREAM_ROOT: '/env', REFSTREAM_GIT: '/env/git' }),
    await readFile(path),
  )
  t.match(settings, { root: '/flag', git: '/env/git', drainSeconds: 7, exportAll: true })
})

t.test('values as text and as TOML types', async (t) => {
  const path = toml(t, 'root = "/r"\nhot-max-bytes = 1000\ncache-max-bytes = "2GiB"\nlisten = "[::1]:0"\n')
  const settings = resolveSettings(await readFile(path))
  t.equal(settings.hotMaxBytes, 1000)
  t.equal(settings.cacheMaxBytes, 2 * 1024 ** 3)
  t.same(settings.listen, { host: '::1', port: 0 })
  t.equal(
    resolveSettings(readEnvironment({ REFSTREAM_ROOT: '/r', REFSTREAM_EXPORT_ALL: '1' })).exportAll,
    true,
  )
  t.equal(resolveSettings(readFlags({ root: '/r', remoteUserHeader: 'X-User' })).remoteUserHeader, 'x-user')
})

t.test('lists: separated by commas, or as TOML arrays', async (t) => {
  const admin = (value: unknown) => resolveSettings(readFlags({ root: '/r', admin: value })).admin
  t.same(admin('127.0.0.1:0'), [{ host: '127.0.0.1', port: 0 }])
  t.same(admin('[::1]:8081, unix:/run/a b.sock'), [{ host: '::1', port: 8081 }, { path: '/run/a b.sock' }])
  const path = toml(
    t,
    'root = "/r"\nadmin = ["unix:/run/x,y", "a:1"]\nfreshness = ["{a,b}/*=lease", "auto"]\n',
  )
  const settings = resolveSettings(await readFile(path))
  t.same(settings.admin, [{ path: '/run/x,y' }, { host: 'a', port: 1 }])
  t.same(settings.freshness, [
    { glob: '{a,b}/*', mode: 'lease' },
    { glob: '**', mode: 'auto' },
  ])
})

t.test('freshness, and what belongs to it', async (t) => {
  t.match(resolveSettings(readFlags({ root: '/r' })), {
    freshness: [{ glob: '**', mode: 'auto' }],
    maxRefDirectories: 20_000,
    leaseMaxSeconds: 3600,
    unleasedMaxAgeSeconds: 10,
    webhookSecretFile: undefined,
  })
  const rules = (value: string) => resolveSettings(readFlags({ root: '/r', freshness: value })).freshness
  t.same(rules('lease'), [{ glob: '**', mode: 'lease' }])
  t.same(rules('mirrors/**=lease, a=b=observe ,auto'), [
    { glob: 'mirrors/**', mode: 'lease' },
    { glob: 'a=b', mode: 'observe' },
    { glob: '**', mode: 'auto' },
  ])
  const path = toml(t, 'root = "/r"\nmax-ref-directories = 1\nunleased-max-age-seconds = 0.5\n')
  t.match(resolveSettings(await readFile(path)), { maxRefDirectories: 1, unleasedMaxAgeSeconds: 0.5 })
})

t.test('a mistake is one line with the place, the value and the allowed values', async (t) => {
  const explains = (error: unknown, parts: string[]): void => {
    t.ok(error instanceof ConfigError)
    const { message } = error as Error
    t.notMatch(message, /\n/)
    for (const part of parts) t.ok(message.includes(part), `${message} names ${part}`)
  }
  const fails = (make: () => unknown, ...parts: string[]): void => {
    try {
      make()
      t.fail(`no error for ${parts.join(' ')}`)
    } catch (error) {
      explains(error, parts)
    }
  }
  const rejects = async (made: Promise<unknown>, ...parts: string[]): Promise<void> => {
    await made.then(
      () => t.fail(`no error for ${parts.join(' ')}`),
      (error: unknown) => explains(error, parts),
    )
  }
  const flag = (key: string, value: string) => () => resolveSettings(readFlags({ root: '/r', [key]: value }))
  fails(() => resolveSettings(), '--root DIR', '--upstream URL')
  fails(flag('listen', '8080'), '--listen', '"8080"', 'HOST:PORT')
  fails(flag('listen', 'localhost:70000'), '--listen', '"localhost:70000"', 'HOST:PORT')
  fails(flag('cacheMaxBytes', '10 apples'), '--cache-max-bytes', '10 apples', '64MiB')
  fails(flag('drainSeconds', '-1'), '--drain-seconds', '"-1"', 'seconds')
  fails(flag('fillTimeoutSeconds', '0'), '--fill-timeout-seconds', '"0"')
  fails(flag('remoteUserHeader', 'X User'), '--remote-user-header', 'X User')
  fails(flag('authForwardHeaders', 'Cookie, Host'), '--auth-forward-headers', 'Cookie, Host')
  fails(flag('logLevel', 'loud'), '--log-level', '"loud"', 'debug')
  for (const wrong of ['', ',', 'a:1,', 'unix:relative', 'unix:/', 'unix:/a\nb', '127.0.0.1']) {
    fails(flag('admin', wrong), '--admin', JSON.stringify(wrong), 'unix:/path')
  }
  for (const wrong of ['', 'fast', 'x=fast', '=lease', 'lease,', '{a,b}=lease', 'Lease', 'a=']) {
    fails(flag('freshness', wrong), '--freshness', JSON.stringify(wrong), 'observe, lease and auto')
  }
  for (const wrong of ['0', '-1', '1.5', 'many', '1e3']) {
    fails(flag('maxRefDirectories', wrong), '--max-ref-directories', wrong, '20000')
  }
  for (const wrong of ['0', '3000000']) fails(flag('leaseMaxSeconds', wrong), '--lease-max-seconds', wrong)
  fails(flag('unleasedMaxAgeSeconds', '0'), '--unleased-max-age-seconds')
  fails(flag('webhookSecretFile', ''), '--webhook-secret-file')
  fails(
    () => resolveSettings(readEnvironment({ REFSTREAM_ROOT: '/r', REFSTREAM_LISTEN: 'x' })),
    'REFSTREAM_LISTEN',
  )
  await rejects(checkFile(toml(t, 'port = 8080\n')), 'toml:1: ', 'port', '8080', 'listen', 'cache-dir')
  await rejects(checkFile(toml(t, 'listen = \n')), 'refstream.toml:1:', 'TOML')
  await rejects(
    checkFile(toml(t, '\nexport-all = "maybe"\n')),
    'toml:2: export-all',
    'maybe',
    'true or false',
  )
  await rejects(checkFile('/nonexistent/x.toml'), '/nonexistent/x.toml')
  await rejects(checkFile('/'), 'cannot read /', 'EISDIR')
})

t.test('all mistakes are reported at once, with their lines and hints', async (t) => {
  const path = toml(
    t,
    `# a comment
lisen = "127.0.0.1:80" # not listen

access = [
  "a=read:x",
  "b=write:x", # no such action
]
export_all = true
drain-seconds = """
soon"""
queue-max = 1.5
max-processes = nan
hot-max-bytes = 1979-05-27
"log-level" = false
"odd \\n key" = { etag = 1 }
[serve]
root = "/r"
etag = 3
`,
  )
  try {
    const flags = readFlags({ busySeconds: '-1' }, ['unknown flag --rot'])
    resolveSettings(flags, readEnvironment({ REFSTREAM_ETAG: 'perhaps' }), await readFile(path))
    t.fail('no error')
  } catch (error) {
    const { mistakes, message } = error as ConfigError
    t.equal(message, mistakes.join('\n'))
    const at = (line: number, rest: string): string => `${path}:${line}: ${rest}`
    const expected = [
      'unknown flag --rot',
      at(2, 'unknown key lisen (value "127.0.0.1:80"); did you mean listen?'),
      at(8, 'unknown key export_all (value true); did you mean export-all?'),
      at(15, 'unknown key "odd \\n key" (a table'),
      at(16, 'unknown key serve (a table'),
      'neither --root nor --upstream is given; give --root DIR, --upstream URL, or both',
      at(9, 'drain-seconds: bad value "soon"'),
      at(4, 'access: bad value ["a=read:x","b=write:x"] (item 2: "b=write:x")'),
      at(13, 'hot-max-bytes: bad value "1979-05-27"'),
      'REFSTREAM_ETAG: bad value "perhaps"',
      at(12, 'max-processes: bad value NaN'),
      at(11, 'queue-max: bad value 1.5'),
      '--busy-seconds: bad value "-1"',
      at(14, 'log-level: bad value false'),
    ]
    t.equal(mistakes.length, expected.length)
    for (const [index, start] of expected.entries()) {
      t.ok(mistakes[index]?.startsWith(start), `${mistakes[index]} begins with ${start}`)
    }
    t.equal(
      mistakes.filter((line) => line.includes('allowed keys: ')).length,
      1,
      'the list of keys comes once',
    )
  }
})

/** What is wrong, by the error that a function throws. */
function mistakesOf(resolve: () => unknown): readonly string[] {
  try {
    resolve()
    return []
  } catch (error) {
    return (error as ConfigError).mistakes
  }
}

t.test('a setting is not called missing if the file cannot be read or parsed', async (t) => {
  const flags = readFlags({ etag: 'x' })
  t.match(
    mistakesOf(() => resolveSettings(flags)),
    [/neither --root nor --upstream/, /--etag/],
  )
  for (const path of [toml(t, 'root = \n'), '/nonexistent']) {
    const source = await readFile(path)
    t.equal(source.mistakes.length, 1)
    t.match(
      mistakesOf(() => resolveSettings(flags, source)),
      [source.mistakes[0], /--etag/],
    )
  }
})

t.test('a bad value in the file is ignored if another source has precedence', async (t) => {
  const source = await readFile(toml(t, 'root = "/r"\ndrain-seconds = "soon"\n'))
  t.equal(resolveSettings(readFlags({ drainSeconds: '3' }), source).drainSeconds, 3)
})

t.test('a long value is cut', async (t) => {
  const [mistake = ''] = mistakesOf(() =>
    resolveSettings(readFlags({ root: '/r', listen: 'x'.repeat(10_000) })),
  )
  t.ok(mistake.length > 0 && mistake.length < 500)
})

t.test('a file may be checked without a root in it', async (t) => {
  await t.resolves(checkFile(toml(t, 'drain-seconds = 1\n')))
})

t.test('unknown variables of the environment are reported, not refused', async (t) => {
  const unknown: string[] = []
  readEnvironment({ REFSTREAM_PORT: 'tcp://10.0.0.1:80', REFSTREAM_CONFIG: '/x', PATH: '/bin' }, (name) =>
    unknown.push(name),
  )
  t.same(unknown, ['REFSTREAM_PORT'])
  readEnvironment({ REFSTREAM_LISEN: 'x', REFSTREAM_PORT: 'x' }, (_name, hint) => unknown.push(hint))
  t.same(unknown.slice(1), ['; did you mean REFSTREAM_LISTEN?', ''])
})

t.test('times that are too long are rejected with the limit', async (t) => {
  for (const key of [
    'fillTimeoutSeconds',
    'drainSeconds',
    'leaseMaxSeconds',
    'authTimeoutSeconds',
  ] as const) {
    t.equal(resolveSettings(readFlags({ root: '/srv', [key]: '2000000' }))[key], 2_000_000)
    t.throws(
      () => resolveSettings(readFlags({ root: '/srv', [key]: '2592000' })),
      /at most 2000000 \(23 days\)/,
    )
  }
})

t.test('a file may leave the root and the upstream to the command line', async (t) => {
  const checked = (text: string) => checkFile(toml(t, text))
  t.match(await checked('etag = true\n'), { hasOrigin: false, settings: { root: '/', upstream: undefined } })
  const { hasOrigin, settings } = await checked('upstream-ca = "/ca"\nroot-layout = "gitea"\n')
  t.doesNotThrow(() => crossCheck(settings), 'what needs one of them has it')
  t.notOk(hasOrigin)
  const upstream = await checked('upstream = "https://git.example"\n')
  t.match(upstream, { hasOrigin: true, settings: { root: undefined } })
  t.throws(() => crossCheck({ ...upstream.settings, rootLayout: 'gitea' }), /--root-layout/)
})
