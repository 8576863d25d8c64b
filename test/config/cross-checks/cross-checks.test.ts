import t from 'tap'
import { crossCheck } from '../../../src/config/cross-checks/cross-checks.js'
import { ConfigError } from '../../../src/config/values/config-error.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import { contradictions } from '../../support/refused-settings.js'

const settings = (flags: Record<string, unknown>) => resolveSettings(readFlags({ root: '/r', ...flags }))
const tls = { tlsCert: '/c', tlsKey: '/k' }

t.test('contradictions, and public addresses without authentication, are refused', async (t) => {
  for (const [flags, message] of contradictions) {
    t.throws(() => crossCheck(settings(flags)), { name: 'ConfigError', message }, JSON.stringify(flags))
  }
  const fine = [
    {},
    { listen: 'localhost:1', admin: '[::1]:0,unix:/s' },
    { listen: '0.0.0.0:0', insecureNoAuth: 'true' },
    { listen: '0.0.0.0:0', authTokens: '/t' },
    { listen: 'tls:0.0.0.0:0', ...tls, tlsClientCa: '/ca', remoteUserHeader: 'X' },
    { admin: '0.0.0.0:0', adminTokenFile: '/t' },
    { grpc: 'unix:/s' },
    { listen: 'unix:/l', listenMode: '600' },
    { grpc: 'tls:0.0.0.0:0', ...tls, tlsClientCa: '/ca' },
    { grpc: '0.0.0.0:0', authUrl: 'http://127.0.0.1/' },
    { listen: '127.0.0.1:81', admin: '[::1]:81,127.0.0.1:82', grpc: 'unix:/s' },
    { listen: '127.0.0.1:0', admin: '127.0.0.1:0,127.0.0.1:0' },
  ]
  for (const flags of fine) t.doesNotThrow(() => crossCheck(settings(flags)), JSON.stringify(flags))
})

t.test('all mistakes are reported at once', async (t) => {
  const several = { listen: 'tls:0.0.0.0:1', admin: '0.0.0.0:1', tlsClientNames: '/n', remoteUserHeader: 'X' }
  try {
    crossCheck(settings({ ...several, authUrl: 'http://127.0.0.1/', authTokens: '/t' }))
    t.fail('no error')
  } catch (error) {
    t.match((error as ConfigError).mistakes, [
      /^--listen: a tls: address needs/,
      /^--tls-client-ca and --tls-client-names/,
      /^--tls-client-names needs --tls-client-ca/,
      /^--admin: .*--admin-token-file/,
      /^--auth-url cannot be combined with/,
      /^--remote-user-header cannot be combined with/,
      /^--admin: 0\.0\.0\.0:1 is taken by --listen/,
    ])
    t.equal((error as ConfigError).mistakes.length, 7)
  }
})
