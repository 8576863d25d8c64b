import t from 'tap'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { preflight } from '../../src/assembly/preflight.js'
import { startSidecar } from '../../src/assembly/sidecar.js'
import { ConfigError } from '../../src/config/values/config-error.js'
import { readFlags, resolveSettings } from '../../src/config/settings.js'
import { createLog } from '../../src/telemetry/log.js'
import { Authority } from '../support/certificates.js'
import { tempDir } from '../support/temp-dir.js'

t.test('settings that serve refuses are refused, with all mistakes at once', async (t) => {
  const root = tempDir(t)
  const file = (name: string, text: string): string => {
    writeFileSync(join(root, name), text)
    return join(root, name)
  }
  const none = join(root, 'none')
  const directory = join(root, 'directory')
  mkdirSync(directory)
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ root: none }, /^--root: .*none" is not a directory/],
    [{ root: file('file', '') }, /^--root: .*is not a directory/],
    [{ git: none }, /^--git: there is no program/],
    [{ git: directory }, /^--git: there is no program/],
    [{ listen: '0.0.0.0:0' }, /^--listen: .*--insecure-no-auth/],
    [{ gitalyStorages: 'a=..' }, /^--gitaly-storages: ".."/],
    [{ webhookSecretFile: none }, /^--webhook-secret-file: .*ENOENT/],
    [{ webhookSecretFile: directory }, /^--webhook-secret-file: .*EISDIR/],
    [{ webhookSecretFile: file('empty', '') }, /^--webhook-secret-file: .* is empty/],
    [{ adminTokenFile: none }, /^admin-tokens: cannot use .*ENOENT/],
    [{ authTokens: file('tokens', 'ops:secret') }, /^auth-tokens: .*tokens:1: /],
    [{ authHtpasswd: directory }, /^auth-htpasswd: cannot use .*EISDIR/],
    [{ accessFile: file('rules', '**=write:x') }, /^access: cannot use .*rules:1: /],
    [{ tlsCert: none, tlsKey: none }, /^tls: cannot use .*ENOENT/],
    [{ admin: `unix:${none}/socket` }, /^--admin: cannot listen on unix:.*ENOENT/],
    [{ grpc: `unix:${directory}` }, /^--grpc: cannot listen on unix:.*not a socket/],
  ]
  const fine = { root, listen: '127.0.0.1:0', admin: '127.0.0.1:0', cacheDir: join(root, 'cache') }
  const resolve = (flags: Record<string, unknown>) => resolveSettings(readFlags({ ...fine, ...flags }))
  for (const [flags, message] of wrong) {
    await t.rejects(preflight(resolve(flags), process.env), { name: 'ConfigError', message })
    await t.rejects(startSidecar(resolve(flags), createLog('silent')), { name: 'ConfigError', message })
  }
  await t.resolves(preflight(resolve({}), process.env))

  // The last of several values for one setting counts; tokens would excuse the address.
  const several = new Map(
    wrong.flatMap(([flags, message]) =>
      Object.entries(flags).map(([key, value]) => [key, { value, message }] as const),
    ),
  )
  for (const key of ['root', 'listen']) several.delete(key)
  const together = Object.fromEntries([...several].map(([key, { value }]) => [key, value]))
  try {
    await preflight(resolve(together), process.env)
    t.fail('no error')
  } catch (error) {
    const { mistakes } = error as ConfigError
    for (const { message } of several.values()) {
      t.ok(
        mistakes.some((mistake) => message.test(mistake)),
        String(message),
      )
    }
    t.equal(mistakes.length, several.size - 1, 'a line each; the certificate and its key share one')
  }
})

t.test('valid TLS files are accepted', async (t) => {
  const root = tempDir(t)
  const authority = new Authority(t)
  const { cert, key } = authority.issue()
  const flags = { root, listen: 'tls:127.0.0.1:0', tlsCert: cert, tlsKey: key, tlsClientCa: authority.cert }
  await t.resolves(preflight(resolveSettings(readFlags(flags)), process.env))
})
