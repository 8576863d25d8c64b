import t from 'tap'
import fc from 'fast-check'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { options, type Option } from '../../../src/config/options/options.js'
import { readEnvironment, readFile, readFlags, resolveSettings } from '../../../src/config/settings.js'
import { tempDir } from '../../support/temp-dir.js'

const settingsOf = (flags: Record<string, unknown>) =>
  resolveSettings(readFlags({ upstream: 'https://git.example', ...flags }))
const optionOf = (key: string): Option => options.find((option) => option.key === key) as Option

/** The message of the error that a value causes; undefined: it is allowed. */
function mistake(key: string, value: unknown): string | undefined {
  try {
    settingsOf({ [key]: value })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

t.test('defaults', async (t) => {
  t.match(settingsOf({}), {
    root: undefined,
    upstream: [{ glob: undefined, url: 'https://git.example' }],
    upstreamFreshness: [{ glob: '**', mode: 'exact' }],
    upstreamCredentials: 'pass-through',
    upstreamCredentialFile: undefined,
    upstreamView: 'credential',
    upstreamStaleSeconds: 0,
    upstreamConnections: 32,
    upstreamConnectSeconds: 5,
    upstreamHeadSeconds: 120,
    upstreamSilenceSeconds: 60,
    upstreamHttp2: false,
    upstreamRedirectHosts: undefined,
    upstreamDeny: undefined,
    rootLayout: 'plain',
  })
})

t.test('URLs are normalised, and keep their base path', async (t) => {
  const urls = (value: unknown) => settingsOf({ upstream: value }).upstream
  for (const [given, url] of [
    ['https://git.example/', 'https://git.example'],
    ['HTTPS://Git.Example:443', 'https://git.example'],
    ['http://[::1]:3000/git/', 'http://[::1]:3000/git'],
    ['http://127.0.0.1:8080/a/../b//', 'http://127.0.0.1:8080/b'],
    ['http://0x7f.1/x=http://y', 'http://127.0.0.1/x=http://y'],
  ] as const) {
    t.same(urls(given), [{ glob: undefined, url }], given)
  }
  t.same(urls('mirrors/**=http://one.example/x=y, a=b=https://two.example,https://rest.example'), [
    { glob: 'mirrors/**', url: 'http://one.example/x=y' },
    { glob: 'a=b', url: 'https://two.example' },
    { glob: undefined, url: 'https://rest.example' },
  ])
})

t.test('a URL with what does not belong into it is refused with the reason', async (t) => {
  for (const [url, reason] of [
    ['https://alice:secret@git.example', /credentials; put them into a file, .*--upstream-credential-file/],
    ['https://alice@git.example', /--upstream-credential-file/],
    ['https://@git.example', /--upstream-credential-file/],
    ['a=https://:secret@git.example', /--upstream-credential-file/],
    ['https://git.example/?q', /no query and no fragment/],
    ['https://git.example/?', /no query and no fragment/],
    ['https://git.example/#f', /no query and no fragment/],
    ['https://git.example/a b', /white space/],
    ['https://git.example\\a', /backslash/],
    ['https://git.example/%0ahost=x', /not percent-encoded text/],
    ['https://git.example/%ff', /not percent-encoded text/],
    ['{a=https://git.example', undefined],
    ['a)=https://git.example', /is not a glob/],
    ['git.example', /bad value "git\.example"; allowed: an http: or https: URL/],
    ['ssh://git@git.example', /bad value/],
    ['https://', /bad value/],
    ['https://git.example:99999', /bad value/],
    ['file:///srv', /bad value/],
    ['', /bad value/],
    ['https://a.example,', /\(item 2: ""\)/],
  ] as const) {
    const message = mistake('upstream', url)
    if (reason === undefined) t.equal(message, undefined, url)
    else t.match(message, reason, url)
  }
})

t.test('no password of a URL is shown', async (t) => {
  for (const url of [
    'https://alice:secret@git.example',
    'ssh://alice:secret@git.example',
    'https://alice:secr/et@git.example',
    'https://x.example,https://alice:secret,@git.example',
  ]) {
    t.notMatch(mistake('upstream', url), /alice|secr/, url)
    t.match(mistake('upstream', url), /^--upstream: bad value "/)
  }
  t.notMatch(mistake('authUrl', 'https://alice:secret@auth.example'), /secret/)
})

t.test('upstream freshness, by repository', async (t) => {
  const rules = (value: unknown) => settingsOf({ upstreamFreshness: value }).upstreamFreshness
  t.same(rules('bounded:30'), [{ glob: '**', mode: 'bounded', seconds: 30 }])
  t.same(rules('mirrors/**=bounded:0.5, a=b=exact, exact'), [
    { glob: 'mirrors/**', mode: 'bounded', seconds: 0.5 },
    { glob: 'a=b', mode: 'exact' },
    { glob: '**', mode: 'exact' },
  ])
  for (const wrong of [
    '',
    'bounded',
    'bounded:',
    'bounded:0',
    'bounded:-1',
    'bounded:3000000',
    'bounded:1e3',
    'exact:1',
    '=exact',
    'a=observe',
  ]) {
    t.match(mistake('upstreamFreshness', wrong), /modes are exact and bounded:SECONDS/, wrong)
  }
  t.match(mistake('upstreamFreshness', 'a)=exact'), /"a\)" is not a glob/)
})

t.test('hosts of redirects are written as in a URL', async (t) => {
  t.same(
    settingsOf({ upstreamRedirectHosts: 'CDN.example, [::1]:8443, a:80,127.0.0.1' }).upstreamRedirectHosts,
    ['cdn.example', '[::1]:8443', 'a:80', '127.0.0.1'],
  )
  for (const wrong of ['', 'https://a', 'a/b', 'a:0', 'a:70000', '::1', 'u@a', 'a?', '[x]', '*.a', 'a b']) {
    t.match(mistake('upstreamRedirectHosts', wrong), /allowed: HOST or HOST:PORT/, wrong)
  }
})

t.test('denied networks, by name or by number', async (t) => {
  const denied = settingsOf({ upstreamDeny: 'link-local,10.0.0.0/8 , ::1' }).upstreamDeny
  t.same(denied, [
    { address: '169.254.0.0', bits: 16 },
    { address: 'fe80::', bits: 10 },
    { address: '10.0.0.0', bits: 8 },
    { address: '::1', bits: 128 },
  ])
  for (const wrong of ['', 'local', 'toString', '10.0.0.0/33', 'a.example', 'private,']) {
    t.match(mistake('upstreamDeny', wrong), /allowed: loopback, link-local, private/, wrong)
  }
})

t.test('from the environment and from TOML', async (t) => {
  const path = join(tempDir(t), 'refstream.toml')
  writeFileSync(
    path,
    `upstream = ["{a,b}/**=https://one.example/", "https://two.example"]
upstream-freshness = ["{a,b}/**=bounded:1", "exact"]
upstream-deny = ["loopback", "10.0.0.0/8"]
upstream-connections = 3
upstream-http2 = true
upstream-stale-seconds = 1.5
`,
  )
  t.match(resolveSettings(readEnvironment({ REFSTREAM_UPSTREAM_VIEW: 'shared' }), await readFile(path)), {
    upstream: [
      { glob: '{a,b}/**', url: 'https://one.example' },
      { glob: undefined, url: 'https://two.example' },
    ],
    upstreamFreshness: [
      { glob: '{a,b}/**', mode: 'bounded', seconds: 1 },
      { glob: '**', mode: 'exact' },
    ],
    upstreamConnections: 3,
    upstreamHttp2: true,
    upstreamStaleSeconds: 1.5,
    upstreamView: 'shared',
  })
  t.match(mistake('upstreamConnections', '2'), /3 or more/)
})

t.test('what a URL is normalised to is accepted, and stays as it is', async () => {
  const { schema } = optionOf('upstream')
  fc.assert(
    fc.property(fc.webUrl({ validSchemes: ['http', 'https'] }), (given) => {
      const first = schema.safeParse([given])
      if (!first.success) return true
      const [{ url }] = first.data as [{ url: string }]
      const again = schema.parse([url]) as [{ url: string }]
      return again[0].url === url && !url.endsWith('/') && new URL(given).host === new URL(url).host
    }),
  )
})
