import t from 'tap'
import fse from 'fs-extra'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { options, type Option } from '../../src/config/options/options.js'
import { runCommand } from '../support/command.js'
import { contradictions } from '../support/refused-settings.js'
import { initBare } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

type Flags = Readonly<Record<string, string | boolean>>

const directory = tempDir(t)
const root = join(directory, 'root')
initBare(root, 'r.git')
const none = join(directory, 'none')
const noSocket = join(directory, 'directory')
mkdirSync(noSocket)
const file = (name: string, text: string): string => {
  fse.outputFileSync(join(directory, name), text)
  return join(directory, name)
}

/** Refused for what is found on this machine. */
const unusable: readonly (readonly [Flags, RegExp])[] = [
  [{ root: none }, /--root: .*is not a directory/],
  [{ git: none }, /--git: there is no program/],
  [{ gitalyStorages: 'a=..' }, /--gitaly-storages: /],
  [{ webhookSecretFile: none }, /--webhook-secret-file: .*ENOENT/],
  [{ webhookSecretFile: file('empty', '') }, /--webhook-secret-file: .*is empty/],
  [{ adminTokenFile: none }, /admin-tokens: .*ENOENT/],
  [{ authTokens: file('tokens', 'ops:secret') }, /auth-tokens: .*tokens:1: /],
  [{ authHtpasswd: file('htpasswd', 'alice') }, /auth-htpasswd: .*htpasswd:1: /],
  [{ tlsCert: none, tlsKey: none }, /tls: cannot use .*ENOENT/],
  [{ admin: `unix:${none}/s` }, /--admin: cannot listen on .*ENOENT/],
  [{ grpc: `unix:${noSocket}` }, /--grpc: cannot listen on .*not a socket/],
]

const nameOf = (key: string): string => options.find((option: Option) => option.key === key)!.name

for (const [what, list] of Object.entries({ contradictions, unusable })) {
  t.test(`serve, doctor and config check refuse ${what} with the same errors`, async (t) => {
    for (const [flags, message] of list) {
      const settings = Object.entries({ root, cacheDir: join(directory, 'cache'), ...flags })
      const asFlags = settings.map(([key, value]) => `--${nameOf(key)}=${value}`)
      const toml = settings.map(([key, value]) => `${nameOf(key)} = ${JSON.stringify(value)}`).join('\n')
      const config = file('refstream.toml', toml)
      const results = [
        await runCommand(['serve', ...asFlags]),
        await runCommand(['doctor', ...asFlags]),
        await runCommand(['config', 'check', config]),
      ]
      for (const { status, stdout, stderr } of results) {
        t.same([status, stdout], [2, ''], toml)
        t.match(stderr, message)
        t.equal(stderr, results[0]!.stderr)
      }
    }
  })
}

t.test('config check skips what depends on a root that the file leaves out', async (t) => {
  const config = file('rootless.toml', 'gitaly-storages = "default=somewhere"\netag = true\n')
  t.same(await runCommand(['config', 'check', config]), { status: 0, stdout: `${config}: ok\n`, stderr: '' })
  const wrong = file('wrong.toml', `git = ${JSON.stringify(none)}\n`)
  t.match((await runCommand(['config', 'check', wrong])).stderr, /^refstream: --git: there is no program/)
})
