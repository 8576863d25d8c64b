import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkExposure, isLocal } from '../../src/assembly/exposure.js'
import { openLocks } from '../../src/assembly/locks.js'
import { readFlags, resolveSettings } from '../../src/config/settings.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { tempDir } from '../support/temp-dir.js'

const settings = (flags: Record<string, unknown>) => resolveSettings(readFlags({ root: '/r', ...flags }))
const tls = { tlsCert: '/c', tlsKey: '/k' }

t.test('what would let everybody in does not start', async (t) => {
  const refused: [Record<string, unknown>, string][] = [
    [{ listen: '0.0.0.0:0' }, '--insecure-no-auth'],
    [{ listen: '[::]:0' }, '--insecure-no-auth'],
    [{ listen: 'git.example:0' }, '--insecure-no-auth'],
    [{ listen: 'tls:0.0.0.0:0', ...tls }, '--insecure-no-auth'],
    [{ listen: '0.0.0.0:0', ...tls, tlsClientCa: '/ca' }, '--insecure-no-auth'],
    [{ listen: '0.0.0.0:0', remoteUserHeader: 'X' }, '--insecure-no-auth'],
    [{ listen: 'tls:127.0.0.1:0' }, '--tls-cert'],
    [{ admin: 'tls:127.0.0.1:0', tlsCert: '/c' }, '--tls-cert'],
    [{ grpc: '0.0.0.0:0' }, '--grpc: .*--insecure-no-auth'],
    [{ grpc: 'tls:0.0.0.0:0', ...tls }, '--grpc: .*--insecure-no-auth'],
    [{ grpc: '0.0.0.0:0', adminTokenFile: '/t' }, '--insecure-no-auth'],
    [{ grpc: '0.0.0.0:0', remoteUserHeader: 'X' }, '--insecure-no-auth'],
    [{ grpc: 'tls:127.0.0.1:0', tlsKey: '/k' }, '--grpc: .*--tls-cert'],
    [{ admin: '0.0.0.0:0' }, '--admin-token-file'],
    [{ admin: '127.0.0.1:0,git.example:0', insecureNoAuth: true }, '--admin-token-file'],
    [{ ...tls, tlsClientNames: '/n' }, '--tls-client-ca'],
    [{ tlsClientCa: '/ca' }, '--tls-cert'],
    [{ authUrl: 'http://127.0.0.1/', authTokens: '/t' }, '--auth-url'],
    [{ authHtpasswd: '/h', remoteUserHeader: 'X' }, '--remote-user-header'],
  ]
  for (const [flags, named] of refused) {
    t.throws(
      () => checkExposure(settings(flags)),
      { name: 'ConfigError', message: new RegExp(named) },
      JSON.stringify(flags),
    )
  }
  const fine = [
    {},
    { listen: 'localhost:1', admin: '[::1]:0,unix:/s' },
    { listen: '0.0.0.0:0', insecureNoAuth: 'true' },
    { listen: '0.0.0.0:0', authTokens: '/t' },
    { listen: 'tls:0.0.0.0:0', ...tls, tlsClientCa: '/ca', remoteUserHeader: 'X' },
    { admin: '0.0.0.0:0', adminTokenFile: '/t' },
    { grpc: 'unix:/s' },
    { grpc: 'tls:0.0.0.0:0', ...tls, tlsClientCa: '/ca' },
    { grpc: '0.0.0.0:0', authUrl: 'http://127.0.0.1/' },
  ]
  for (const flags of fine) t.doesNotThrow(() => checkExposure(settings(flags)), JSON.stringify(flags))
  for (const host of ['127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])
    t.ok(isLocal({ host, port: 1 }), host)
  for (const host of ['0.0.0.0', '::', '128.0.0.1', 'localhost.example', ''])
    t.notOk(isLocal({ host, port: 1 }), host)
})

t.test('files that cannot be used are named, and what is in them is not', async (t) => {
  const directory = tempDir(t)
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const hash = `$2y$05$${'a'.repeat(53)}`
  const bad: [Record<string, unknown>, RegExp][] = [
    [{ authTokens: file('a', '\n#x\nops:secret\n') }, /a:3: /],
    [{ adminTokenFile: file('b', 'secret') }, /admin-tokens: .*b:1: /],
    [{ authHtpasswd: file('c', 'alice:{SHA}secret\n') }, /c:1: .*htpasswd -B/],
    [{ authHtpasswd: file('d', `alice:${hash}\nalice:${hash}`) }, /d:2: /],
    [{ authHtpasswd: file('e', `alice:${hash.replace('05', '31')}`) }, /e:1: .*14/],
    [{ authTokens: join(directory, 'none') }, /ENOENT/],
    [{ tlsCert: file('f', 'secret'), tlsKey: file('g', 'secret') }, /tls: cannot use .*no certificate/],
  ]
  for (const [flags, message] of bad) {
    try {
      openLocks(settings(flags), new Metrics(), createLog('silent'), () => undefined)
      t.fail(`no error: ${message}`)
    } catch (error) {
      t.match(error, { name: 'ConfigError', message })
      t.notMatch((error as Error).message, /secret/)
    }
  }
})
