import t from 'tap'
import { checkExposure, isLocal } from '../../src/config/cross-checks.js'
import { readFlags, resolveSettings, type ConfigError } from '../../src/config/settings.js'

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
    [{ listen: '127.0.0.1:81', admin: '127.0.0.1:81' }, '--admin: .*81 is taken by --listen'],
    [
      { listen: '127.0.0.1:81', grpc: '0.0.0.0:81', insecureNoAuth: true },
      '--grpc: .*81 is taken by --listen',
    ],
    [{ admin: 'unix:/s,unix:/s' }, '--admin: unix:/s is taken by --admin'],
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
    { listen: '127.0.0.1:81', admin: '[::1]:81,127.0.0.1:82', grpc: 'unix:/s' },
    { listen: '127.0.0.1:0', admin: '127.0.0.1:0,127.0.0.1:0' },
  ]
  for (const flags of fine) t.doesNotThrow(() => checkExposure(settings(flags)), JSON.stringify(flags))
  for (const host of ['127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])
    t.ok(isLocal({ host, port: 1 }), host)
  for (const host of ['0.0.0.0', '::', '128.0.0.1', 'localhost.example', ''])
    t.notOk(isLocal({ host, port: 1 }), host)
})

t.test('all that does not go together is told at once', async (t) => {
  const several = { listen: 'tls:0.0.0.0:1', admin: '0.0.0.0:1', tlsClientNames: '/n', remoteUserHeader: 'X' }
  try {
    checkExposure(settings({ ...several, authUrl: 'http://127.0.0.1/', authTokens: '/t' }))
    t.fail('no error')
  } catch (error) {
    t.match((error as ConfigError).mistakes, [
      /^--listen: a tls: address needs/,
      /^--tls-client-ca and --tls-client-names/,
      /^--tls-client-names needs --tls-client-ca/,
      /^--admin: .*--admin-token-file/,
      /^--auth-url does not go with/,
      /^--remote-user-header does not go with/,
      /^--admin: 0\.0\.0\.0:1 is taken by --listen/,
    ])
    t.equal((error as ConfigError).mistakes.length, 7)
  }
})
