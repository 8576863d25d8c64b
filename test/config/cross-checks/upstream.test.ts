import t from 'tap'
import { crossCheck } from '../../../src/config/cross-checks/cross-checks.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'

type Flags = Readonly<Record<string, string | boolean>>

const settings = (flags: Flags) => resolveSettings(readFlags(flags))
const root = '/r'
const upstream = 'https://git.example'
const service = { upstreamCredentials: 'service' }
const certificate = { upstreamClientCert: '/c', upstreamClientKey: '/k' }
const open = { listen: '0.0.0.0:0' }
const tls = { tlsCert: '/c', tlsKey: '/k', tlsClientCa: '/ca' }

const refused: readonly (readonly [Flags, RegExp])[] = [
  [
    { root, upstreamFreshness: 'bounded:1', upstreamCa: '/ca', upstreamHttp2: true, rootLayout: 'gitea' },
    /^--upstream-freshness, --upstream-ca, --upstream-http2, --root-layout: give --upstream too/,
  ],
  [
    { root, ...service, upstreamCredentialFile: '/f' },
    /^--upstream-credentials, --upstream-credential-file: /,
  ],
  [{ root, upstreamDeny: 'loopback' }, /^--upstream-deny: /],
  [{ upstream, rootLayout: 'gitea' }, /^--root-layout: give --root too/],
  [{ upstream, freshness: 'lease' }, /^--freshness is for repositories below --root; --upstream-freshness /],

  [{ upstream: 'a/*=https://a,a/*=https://b' }, /^--upstream: the glob a\/\* has two URLs/],
  [{ upstream: 'https://a,https://b' }, /^--upstream: https:\/\/b is never used: https:\/\/a before it/],
  [
    { upstream: '**=https://a,b=https://b' },
    /^--upstream: b=https:\/\/b is never used: \*\*=https:\/\/a before it/,
  ],

  [
    { upstream, upstreamCredentialFile: '/f' },
    /^--upstream-credential-file needs --upstream-credentials service/,
  ],
  [
    { upstream, authTokens: '/t', authHtpasswd: '/h' },
    /^--auth-tokens, --auth-htpasswd: .*the upstream authenticates.*--upstream-credentials service/,
  ],
  [{ root, upstream, remoteUserHeader: 'X' }, /^--remote-user-header: .*--upstream-credentials service/],
  [{ upstream, grpc: 'unix:/s' }, /^--grpc: .*give --upstream-credentials service/],

  [{ upstream, upstreamClientKey: '/k' }, /^--upstream-client-cert and --upstream-client-key: give both/],
  [{ upstream, upstreamClientCert: '/c' }, /^--upstream-client-cert and --upstream-client-key: give both/],
  [
    { upstream: 'http://git.example', ...certificate, upstreamCa: '/ca', upstreamHttp2: true },
    /^--upstream-ca, --upstream-client-cert, --upstream-client-key, --upstream-http2: only for https:/,
  ],

  [
    { upstream: 'https://127.0.0.1:8443', upstreamDeny: 'loopback' },
    /^--upstream: --upstream-deny forbids to connect to https:\/\/127\.0\.0\.1:8443/,
  ],
  [{ upstream: 'http://localhost', upstreamDeny: 'loopback' }, /^--upstream: --upstream-deny forbids/],
  [{ upstream: 'http://[fd00::1]', upstreamDeny: 'private' }, /^--upstream: --upstream-deny forbids/],
  [
    { upstream, upstreamRedirectHosts: '10.1.2.3:80', upstreamDeny: '10.0.0.0/8' },
    /^--upstream-redirect-hosts: --upstream-deny forbids to connect to 10\.1\.2\.3:80/,
  ],

  [
    { upstream: 'http://127.0.0.1:8080' },
    /^--upstream: http:\/\/127\.0\.0\.1:8080 is refstream’s own --listen/,
  ],
  [{ upstream: 'http://localhost:81', admin: '127.0.0.1:81' }, /own --admin 127\.0\.0\.1:81/],
  [{ upstream: 'http://127.0.0.2', listen: '0.0.0.0:80' }, /own --listen/],
  [{ upstream: 'https://[::1]', listen: 'tls:[::]:443', ...tls }, /own --listen/],
  [{ upstream: 'http://git.example:80', listen: 'git.example:80' }, /own --listen/],

  [
    { ...open, upstream, ...service },
    /^--listen: a public address needs --auth-tokens, .*--insecure-no-auth/,
  ],
  [
    { ...open, root, upstream: 'a/**=https://git.example' },
    /^--listen: a public address needs --auth-url, .*--upstream for all repositories/,
  ],
  [
    { ...open, upstream, ...certificate },
    /^--listen: a public address needs --auth-url, .*no --upstream-client-cert/,
  ],
  [
    { grpc: '0.0.0.0:0', root, upstream },
    /^--grpc: a public address needs --auth-url, or tls: with --tls-client-ca; or/,
  ],
  [{ grpc: '0.0.0.0:0', upstream, ...service }, /^--grpc: a public address needs --auth-tokens/],
]

t.test('settings of upstreams that contradict each other are refused, each with one line', async (t) => {
  for (const [flags, message] of refused) {
    t.throws(() => crossCheck(settings(flags)), { name: 'ConfigError', message }, JSON.stringify(flags))
    try {
      crossCheck(settings(flags))
    } catch (error) {
      t.notMatch((error as Error).message, /\n/, JSON.stringify(flags))
    }
  }
})

t.test('settings of upstreams that do not', async (t) => {
  const fine: readonly Flags[] = [
    { upstream },
    { root, upstream, rootLayout: 'gitea', freshness: 'lease' },
    { root, upstreamView: 'credential', upstreamConnections: '32' },
    { upstream: 'a=https://a,b=https://a,https://b' },
    { upstream: 'a=http://a,https://b', upstreamCa: '/ca', ...certificate, upstreamHttp2: true },
    { upstream, ...service, upstreamCredentialFile: '/f', authTokens: '/t' },
    { upstream, ...service, remoteUserHeader: 'X' },
    { upstream, ...service, grpc: 'unix:/s' },
    { upstream, authUrl: 'http://127.0.0.1/', upstreamView: 'shared', upstreamFreshness: 'bounded:1' },
    { ...open, upstream },
    { ...open, root, upstream: 'a/**=https://a, https://b' },
    { ...open, upstream: 'a/**=https://a' },
    { ...open, upstream, ...service, authHtpasswd: '/h' },
    { ...open, upstream, ...certificate, insecureNoAuth: true },
    { listen: 'tls:0.0.0.0:0', upstream, ...certificate, ...tls },
    { root, upstream, grpc: 'unix:/s' },
    { upstream: 'http://127.0.0.1:8080', listen: '127.0.0.2:8080' },
    { upstream: 'http://127.0.0.1:8080', listen: '[::1]:8080' },
    { upstream: 'http://git.example:8080', ...open, listen: '0.0.0.0:8080' },
    { upstream: 'https://10.0.0.1', upstreamDeny: 'loopback,link-local' },
    { upstream: 'http://localhost', upstreamDeny: '::1' },
  ]
  for (const flags of fine) t.doesNotThrow(() => crossCheck(settings(flags)), JSON.stringify(flags))
})
