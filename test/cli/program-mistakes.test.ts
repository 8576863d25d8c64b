import t from 'tap'
import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Authority } from '../support/certificates.js'
import { runCommand, type CommandResult } from '../support/command.js'
import { initBare } from '../support/repositories.js'
import { cleanEnvironment, program } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Runs the program itself. */
function spawned(args: readonly string[], environment: NodeJS.ProcessEnv = {}): CommandResult {
  const options = { cwd: directory, env: { ...cleanEnvironment, ...environment }, encoding: 'utf8' } as const
  return spawnSync(process.execPath, [program, ...args], options)
}

const directory = tempDir(t)
// Files that a mistake creates in the working directory stay in this directory.
const cwd = process.cwd()
process.chdir(directory)
t.teardown(() => process.chdir(cwd))
const root = join(directory, 'root')
const repository = initBare(root, 'r.git')
const none = join(directory, 'none')
const file = (name: string, content: string | Buffer): string => {
  writeFileSync(join(directory, name), content)
  return join(directory, name)
}
const toml = (name: string, content: string): string => file(`${name}.toml`, content)
const empty = file('empty', '')
const { cert, key } = new Authority(t).issue()
const tls = ['--listen', 'tls:127.0.0.1:0', '--tls-cert', cert, '--tls-key', key]
const serve = ['serve', '--root', root, '--cache-dir', join(directory, 'cache'), '--admin', '127.0.0.1:0']

type Case = readonly [args: readonly string[], message: RegExp, environment?: NodeJS.ProcessEnv]

/** Command lines with one mistake, and the one line that reports it. */
const cases: Record<string, readonly Case[]> = {
  commands: [
    [['nonsense'], /unknown command 'nonsense'/],
    [['serv'], /unknown command 'serv' \(Did you mean serve\?\)/],
    [['--nonsense'], /unknown option '--nonsense'/],
    [['hook', 'instal'], /unknown command 'instal' \(Did you mean install\?\)/],
    [['config', 'check'], /missing required argument 'FILE'/],
    [['config', 'check', 'a', 'b'], /too many arguments/],
    [['config', 'check', '--nonsense', 'a'], /unknown option '--nonsense'/],
    [['hook', 'install'], /missing required argument 'REPO'/],
    [['hook', 'status'], /missing required argument 'REPO'/],
    [['hook', 'remove'], /missing required argument 'REPO'/],
    [['lease', 'run', '--', 'true'], /required option '--repository <PATH>' not specified/],
    [['lease', 'run', '--repository', 'r.git'], /missing required argument 'COMMAND'/],
    [['lease', 'run', '--repository', '', '--', 'true'], /--repository.*must be/],
    [['lease', 'run', '--ttl-seconds', 'soon', '--repository', 'r', '--', 'true'], /--ttl-seconds.*86400/],
    [['lease', 'run', '--repository', 'r', '--admin', 'nowhere', '--', 'true'], /--admin.*HOST:PORT/],
    [['lease', 'run', '--repositry', 'r', '--', 'true'], /--repository <PATH>/],
  ],
  flags: [
    [
      ['serve', '--export-all'],
      /^refstream: neither --root nor --upstream is given; give --root DIR, --upstream URL, or both$/,
    ],
    [[...serve, '--listen'], /--listen needs a value/],
    [[...serve, '--listen', '--etag'], /--listen needs a value/],
    [['serve', '--root', ''], /--root: bad value ""/],
    [['serve', '--root', none], /--root: .*none" is not a directory/],
    [['serve', '--root', empty], /--root: .*empty" is not a directory/],
    [['serve', '--root', `${root}\u0001`], /--root: /],
    [[...serve, 'stray'], /"stray" is not a flag/],
    [[...serve, '--etag', 'false'], /"false" is not a flag; .*--no-NAME or --NAME=false/],
    [[...serve, '--etag=maybe'], /--etag: bad value "maybe"; allowed: true or false/],
    [[...serve, '--etag='], /--etag: bad value ""/],
    [[...serve, '--lisen', '127.0.0.1:0'], /unknown flag --lisen; did you mean --listen\?/],
    [[...serve, '--exportAll'], /unknown flag --exportAll; did you mean --export-all\?/],
    [[...serve, '-l'], /unknown flag -l$/],
    [[...serve, '--listen', '127.0.0.1'], /--listen: bad value "127\.0\.0\.1"; allowed: .*HOST:PORT/],
    [[...serve, '--listen', ':8080'], /--listen: bad value ":8080"/],
    [[...serve, '--listen', '127.0.0.1:'], /--listen: bad value/],
    [[...serve, '--listen', '127.0.0.1:99999'], /--listen: bad value/],
    [[...serve, '--listen', 'tls:127.0.0.1:0'], /--listen: a tls: address needs/],
    [[...serve, '--listen', '0.0.0.0:0'], /--listen: a public address needs/],
    [[...serve, '--listen', '203.0.113.1:0', '--insecure-no-auth'], /--listen: cannot listen on/],
    [[...serve, '--admin', `unix:${none}/s`], /--admin: cannot listen on .*ENOENT/],
    [[...serve, '--admin', `unix:${repository}`], /--admin: cannot listen on .*not a socket/],
    [[...serve, '--git', none], /--git: there is no program/],
    [[...serve, '--git', directory], /--git: there is no program/],
    [[...serve, '--git', empty], /--git: there is no program/],
    [[...serve, '--git', ''], /--git: bad value ""/],
    [[...serve, '--queue-max', '1e3'], /--queue-max: bad value "1e3"; allowed: a whole number/],
    [[...serve, '--hot-max-bytes', '1 GB'], /--hot-max-bytes: bad value "1 GB"; allowed: .*64MiB/],
    [[...serve, '--drain-seconds', 'NaN'], /--drain-seconds: bad value "NaN"/],
    [[...serve, '--access', 'a=write:x'], /--access: bad value/],
    [[...serve, '--freshness', 'a='], /--freshness: bad value/],
    [[...serve, '--gitaly-storages', 'x=/'], /--gitaly-storages: "\/" is not a directory below the root/],
    [[...serve, '--auth-url', 'ftp://x/'], /--auth-url: bad value/],
    [[...serve], /REFSTREAM_DRAIN_SECONDS: bad value "soon"/, { REFSTREAM_DRAIN_SECONDS: 'soon' }],
    [[...serve], /REFSTREAM_ETAG: bad value ""/, { REFSTREAM_ETAG: '' }],
    [[...serve], /config: cannot read .*none/, { REFSTREAM_CONFIG: none }],
  ],
  files: [
    [[...serve, '--config', none], /config: cannot read .*ENOENT/],
    [[...serve, '--config', directory], /config: cannot read .*EISDIR/],
    [[...serve, '--admin-token-file', none], /admin-tokens: cannot use .*ENOENT/],
    [[...serve, '--admin-token-file', directory], /admin-tokens: cannot use .*EISDIR/],
    [[...serve, '--auth-tokens', file('tokens', 'ops:secret\n')], /auth-tokens: .*tokens:1: expected a name/],
    [[...serve, '--auth-htpasswd', file('htpasswd', '\nalice\n')], /auth-htpasswd: .*htpasswd:2: /],
    [[...serve, '--webhook-secret-file', empty], /--webhook-secret-file: the first line of .* is empty/],
    [[...serve, ...tls, '--tls-key', cert], /tls: cannot use .*, but a certificate$/],
    [[...serve, ...tls, '--tls-key', empty], /tls: cannot use .*it is not PEM/],
    [[...serve, ...tls, '--tls-cert', key], /tls: cannot use .*, but a private key$/],
    [[...serve, ...tls, '--tls-client-ca', empty], /tls: cannot use .*empty: there is no certificate/],
    [[...serve, ...tls, '--tls-client-ca', cert, '--tls-client-names', none], /tls: cannot use .*ENOENT/],
    [['hook', 'install', none], /none: there is no such directory$/],
    [['hook', 'install', empty], /empty: there is no such directory$/],
    [['hook', 'install', directory], /Git finds no repository: /],
    [['hook', 'install', ''], /the path is empty/],
    [['hook', 'status', none], /there is no such directory/],
    [['hook', 'remove', none], /there is no such directory/],
    [['hook', 'install', '--token-file', none, repository], /--token-file: .*ENOENT/],
    [['hook', 'install', '--token-file', '', repository], /--token-file/],
    [['hook', 'install', '--admin', '', repository], /--admin.*HOST:PORT/],
    [['hook', 'install', repository], /REFSTREAM_ADMIN.*HOST:PORT/, { REFSTREAM_ADMIN: 'nowhere' }],
  ],
  toml: [
    ['syntax', 'etag = \n', /syntax\.toml:1:\d+: not TOML/],
    ['unclosed', '\nlisten = "127.0.0.1:0\n', /unclosed\.toml:2:\d+: not TOML/],
    ['duplicate', 'etag = true\n\netag = true\n', /duplicate\.toml:3:\d+: not TOML: .*redefine/],
    [
      'unknown',
      '# x\netagg = true\n',
      /unknown\.toml:2: unknown key etagg \(value true\); did you mean etag\?/,
    ],
    ['table', '[serve]\netag = true\n', /table\.toml:1: unknown key serve \(a table; /],
    ['proto', '__proto__ = 1\n', /proto\.toml:1: unknown key __proto__/],
    ['type', 'etag = true\nlisten = 8080\n', /type\.toml:2: listen: bad value 8080; allowed: .*HOST:PORT/],
    ['date', 'drain-seconds = 1979-05-27\n', /date\.toml:1: drain-seconds: bad value/],
    ['list', 'access = ["a=read:x", 3]\n', /list\.toml:1: access: bad value .*3/],
    ['nested', 'etag = [[true]]\n', /nested\.toml:1: etag: bad value \[\[true\]\]/],
    ['huge', 'queue-max = 99999999999999999999\n', /huge\.toml:1/],
    ['fraction', 'queue-max = 0.5\n', /fraction\.toml:1: queue-max: bad value 0\.5/],
    ['bytes', '\u0000\u0001', /bytes\.toml:1:\d+: not TOML/],
  ].flatMap(([name, content, message]): Case[] => {
    const path = toml(name as string, content as string)
    return [
      [['config', 'check', path], message as RegExp],
      [[...serve, '--config', path], message as RegExp],
    ]
  }),
}

for (const [what, list] of Object.entries(cases)) {
  t.test(`${what}: one line, exit code 2`, async (t) => {
    for (const [args, message, environment] of list) {
      const { status, stdout, stderr } = await runCommand(args, environment)
      const typed = args.join(' ').replaceAll(directory, '')
      t.equal(status, 2, typed)
      t.match(stderr.trimEnd(), message, typed)
      t.equal(stderr.trimEnd().split('\n').length, 1, `one line: ${typed}: ${stderr}`)
      t.equal(stdout, '', typed)
    }
  })
}

t.test('doctor reports the same mistakes as serve', async (t) => {
  const given = cases['flags']!.filter(
    ([args, message]) => args.includes('--root') && !/listen on|not a flag/.test(String(message)),
  )
  for (const [[, ...args], message, environment] of given) {
    const { status, stderr } = await runCommand(['doctor', ...args], environment)
    t.equal(status, 2, args.join(' '))
    t.match(stderr.trimEnd(), message)
  }
})

const superuser = process.getuid?.() === 0
t.test('files that this user cannot read', { skip: superuser && 'the superuser may read all' }, async (t) => {
  chmodSync(empty, 0)
  for (const flag of ['--config', '--admin-token-file', '--auth-tokens', '--webhook-secret-file']) {
    const { status, stderr } = await runCommand([...serve, flag, empty])
    t.equal(status, 2, flag)
    t.match(stderr, /^refstream: .*EACCES.*\n$/)
  }
})

t.test('several mistakes: a line each', async (t) => {
  const path = toml('several', 'etagg = true\nlisten = 1\n')
  const args = ['serve', '--lisen', 'x', '--queue-max', '0', '--config', path, '--etag=x']
  const { status, stderr } = spawned(args, { REFSTREAM_DRAIN_SECONDS: 'x' })
  t.equal(status, 2)
  t.match(stderr.trimEnd().split('\n'), [
    /--lisen; did you mean --listen\?$/,
    /several\.toml:1: unknown key etagg .*did you mean etag\?/,
    /neither --root nor --upstream/,
    /several\.toml:2: listen: bad value 1;/,
    /REFSTREAM_DRAIN_SECONDS: bad value "x"/,
    /--etag: bad value "x"/,
    /--queue-max: bad value "0"/,
  ])
  t.equal(stderr.trimEnd().split('\n').length, 7)
})
