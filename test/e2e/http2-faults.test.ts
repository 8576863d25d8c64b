import t, { type Test } from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { connect, constants } from 'node:http2'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { gunzipSync, gzipSync } from 'node:zlib'
import { Authority } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { answerOf, ask2 } from '../support/http2-server.js'
import { addPackedBranches, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const { NGHTTP2_INTERNAL_ERROR } = constants
const refsOf = (name: string): string => `/${name}.git/info/refs?service=git-upload-pack`

/** A sidecar that offers HTTP/2, whose Git is wrapped, with a large repository and a small one. */
async function serve(t: Test, ...args: readonly string[]) {
  const root = realpathSync(tempDir(t))
  const large = makeRepository(root, 'large.git')
  addPackedBranches(large, 2000)
  makeRepository(root, 'small.git')
  for (const name of ['large', 'small'])
    spawnSync('git', ['-C', join(root, `${name}.git`), 'config', 'http.receivepack', 'true'])
  const authority = new Authority(t)
  const issued = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  const files = tempDir(t)
  const pair = { cert: join(files, 'cert'), key: join(files, 'key') }
  copyFileSync(issued.cert, pair.cert)
  copyFileSync(issued.key, pair.key)
  const wrapper = makeGitWrapper(t)
  const tls = ['--listen', 'tls:127.0.0.1:0', '--tls-cert', pair.cert, '--tls-key', pair.key, '--http2']
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path, ...tls, ...args] })
  const open = () => {
    const client = connect(sidecar.url, { ca: readFileSync(authority.cert) }).on('error', () => {})
    t.teardown(() => client.destroy())
    return client
  }
  return { sidecar, wrapper, authority, pair, root, large, open }
}

for (const [name, plan] of [
  ['dies', plans.dieAfter(5000)],
  ['stops without a flush packet, exit code 0', plans.cutAfter(5000)],
] as const) {
  t.test(`Git ${name} midway: its streams are reset, the other one of the connection goes on`, async (t) => {
    const { wrapper, open, sidecar, authority } = await serve(t)
    const client = open()
    const small = await ask2(client, { ':path': refsOf('small') })
    t.equal(small.status, 200)
    wrapper.plan(`case "$PWD" in *large*) ${plan} ;; esac\n`)
    const waiting = Array.from({ length: 10 }, () => ask2(client, { ':path': refsOf('large') }))
    t.same((await ask2(client, { ':path': refsOf('small') })).body, small.body)
    for (const { status, code, body } of await Promise.all(waiting)) {
      if (status === 503) continue
      t.same([status, code], [200, NGHTTP2_INTERNAL_ERROR])
      t.ok(body.length < 5100, 'what Git has said, after the line that names the service')
    }
    t.same((await ask2(client, { ':path': refsOf('small') })).body, small.body)
    const env = { ...gitEnvironment, GIT_SSL_CAINFO: authority.cert }
    const listed = spawnSync('git', ['ls-remote', `${sidecar.url}/large.git`], { env })
    t.not(listed.status, 0, 'Git shows an error')
  })
}

t.test('a push whose client vanishes midway changes nothing, and holds nothing', async (t) => {
  const { sidecar, authority, root } = await serve(t)
  const before = spawnSync('git', ['-C', join(root, 'small.git'), 'for-each-ref']).stdout.toString()
  const { hostname: host, port } = new URL(sidecar.url)
  const ca = readFileSync(authority.cert)
  const socket = connectTls({ host, port: Number(port), ca, ALPNProtocols: ['h2'] }).on('error', () => {})
  const client = connect(sidecar.url, { createConnection: () => socket }).on('error', () => {})
  const push = client.request(
    {
      ':method': 'POST',
      ':path': '/small.git/git-receive-pack',
      'content-type': 'application/x-git-receive-pack-request',
    },
    { endStream: false },
  )
  push.on('error', () => {})
  const tip = before.slice(0, 40)
  const command = `${'0'.repeat(40)} ${tip} refs/heads/new\0 report-status`
  const line = (command.length + 4).toString(16).padStart(4, '0') + command
  // A push that would be carried out if the rest of its pack came; longer than is read before Git begins.
  const other = tempDir(t)
  const inOther = (args: string[], input?: Buffer) =>
    spawnSync('git', ['-C', other, ...args], { input }).stdout
  inOther(['init', '-q'])
  const blob = inOther(['hash-object', '-w', '--stdin'], randomBytes(400_000))
  const pack = inOther(['pack-objects', '--stdout', '-q'], blob)
  push.write(Buffer.concat([Buffer.from(`${line}0000`), pack.subarray(0, 200_000)]))
  const permits = () => sidecar.metric('refstream_process_permits_held', { class: 'pass' })
  await eventually('Git has begun', async () => (await permits()) === 1)
  socket.destroy()
  for (const name of ['refstream_requests_under_way', 'refstream_request_body_bytes'])
    await eventually(name, async () => (await sidecar.metric(name)) === 0)
  await eventually('no process is left', async () => (await permits()) === 0)
  t.equal(await sidecar.metric('refstream_leases_open'), 0)
  t.equal(spawnSync('git', ['-C', join(root, 'small.git'), 'for-each-ref']).stdout.toString(), before)
  const counted = () => sidecar.metric('refstream_requests_total', { outcome: 'aborted' })
  await eventually('it is counted as aborted', async () => (await counted()) === 1)
})

t.test('what HTTP/1 has of conditions, encodings, origins and redirects is the same', async (t) => {
  const shop = 'https://shop.example'
  const { open, sidecar } = await serve(
    t,
    '--etag',
    '--cors-origins',
    shop,
    '--lfs-redirect',
    'https://lfs.example',
  )
  const client = open()
  const path = refsOf('large')
  let plain = await ask2(client, { ':path': path })
  // One that grows has none.
  await eventually('it has an ETag', async () => {
    plain = await ask2(client, { ':path': path })
    return plain.headers['etag'] !== undefined
  })
  const etag = String(plain.headers['etag'])
  const unchanged = await ask2(client, { ':path': path, 'if-none-match': etag })
  t.same([unchanged.status, unchanged.code, unchanged.body.length], [304, 0, 0])
  let zipped = plain
  await eventually('the compressed form is ready', async () => {
    zipped = await ask2(client, { ':path': path, 'accept-encoding': 'gzip' })
    return zipped.headers['content-encoding'] === 'gzip'
  })
  t.ok(gunzipSync(zipped.body).equals(plain.body))
  const head = await ask2(client, { ':method': 'HEAD', ':path': path })
  t.same([head.status, Number(head.headers['content-length']), head.body.length], [200, plain.body.length, 0])

  const preflight = {
    ':method': 'OPTIONS',
    ':path': path,
    origin: shop,
    'access-control-request-method': 'GET',
  }
  const allowed = await ask2(client, preflight)
  t.same(
    [allowed.status, allowed.headers['access-control-allow-origin'], allowed.body.length],
    [204, shop, 0],
  )
  const lfs = await ask2(
    client,
    { ':method': 'POST', ':path': '/large.git/info/lfs/objects/batch' },
    Buffer.from('{}'),
  )
  t.match(lfs, { status: 307, headers: { location: 'https://lfs.example/large.git/info/lfs/objects/batch' } })

  const post = {
    ':method': 'POST',
    ':path': '/large.git/git-upload-pack',
    'content-type': 'application/x-git-upload-pack-request',
    'git-protocol': 'version=2',
  }
  const asked = Buffer.from('0014command=ls-refs\n00010000')
  const refs = await ask2(client, post, asked)
  t.equal(refs.status, 200)
  const again = await ask2(client, { ...post, 'content-encoding': 'gzip' }, gzipSync(asked))
  t.ok(again.body.equals(refs.body) && refs.body.length > 100_000)
  t.equal(await sidecar.metric('refstream_requests_total', { kind: 'ls-refs' }), 2)
})

t.test('credentials, rates and addresses of proxies count for each request of a connection', async (t) => {
  const tokens = join(tempDir(t), 'tokens')
  writeFileSync(tokens, `alice:${createHash('sha256').update('a').digest('hex')}\n`)
  const rules = ['--auth-tokens', tokens, '--access', 'large=read:*, small=read:anyone']
  const rates = ['--client-rate-limit', '0.001', '--client-rate-burst', '3', '--trusted-proxies', '127.0.0.1']
  const { open, sidecar } = await serve(t, ...rules, ...rates, '--access-log', 'all')
  const client = open()
  const from = (address: string, name: string, more = {}) =>
    ask2(client, { ':path': refsOf(name), 'x-forwarded-for': address, ...more })
  const statuses: (number | undefined)[] = []
  for (let asked = 0; asked < 4; asked++) statuses.push((await from('192.0.2.1', 'small')).status)
  t.same(statuses, [200, 200, 200, 429])
  t.match((await from('192.0.2.1', 'small')).headers, { 'retry-after': /^\d+$/ })
  const refused = await from('192.0.2.2', 'large')
  t.same([refused.status, refused.code], [401, 0])
  t.match(refused.headers, { 'www-authenticate': /Basic/ })
  t.equal((await from('192.0.2.2', 'large', { authorization: 'Bearer a' })).status, 200)
  const isLogged = (line: Record<string, unknown>): boolean =>
    line['user.name'] === 'alice' && line['client.address'] === '192.0.2.2'
  await eventually('it is logged', () => sidecar.log.some(isLogged))
})

t.test('requests beyond --max-requests are shed, each in its stream', async (t) => {
  const { open, wrapper, sidecar } = await serve(t, '--max-requests', '10')
  wrapper.plan(plans.wait)
  const client = open()
  const all = Array.from({ length: 30 }, () => ask2(client, { ':path': refsOf('small') }))
  await eventually('some are shed', async () => (await sidecar.metric('refstream_requests_shed_total')) > 0)
  wrapper.signal('go')
  const answers = await Promise.all(all)
  t.same(new Set(answers.map(({ status }) => status)), new Set([200, 429]))
  for (const { status, headers } of answers) if (status === 429) t.match(headers, { 'retry-after': /^\d+$/ })
  t.equal((await ask2(client, { ':path': refsOf('small') })).status, 200, 'the connection goes on')
})

t.test('a certificate is exchanged while connections with the old one go on', async (t) => {
  const { open, sidecar, authority, pair } = await serve(t)
  const client = open()
  const serial = ({ socket }: typeof client): string =>
    (socket as TLSSocket).getPeerCertificate().serialNumber
  const stream = client.request({ ':path': refsOf('large') })
  await once(stream, 'response')
  stream.pause()
  const renewed = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  copyFileSync(renewed.cert, pair.cert)
  copyFileSync(renewed.key, pair.key)
  process.kill(sidecar.pid, 'SIGHUP')
  const reloaded = () => sidecar.metric('refstream_reloads_total', { what: 'tls', result: 'ok' })
  await eventually('it is read', async () => (await reloaded()) === 1)
  const later = open()
  t.equal((await ask2(later, { ':path': refsOf('small') })).status, 200)
  t.not(serial(later), serial(client))
  t.match(await answerOf(stream), { code: 0 })
  t.equal((await ask2(client, { ':path': refsOf('small') })).status, 200)
})

t.test('without ALPN, and for clients that know only HTTP/1.1, HTTP/1.1 is spoken', async (t) => {
  const { sidecar } = await serve(t)
  const { port } = new URL(sidecar.url)
  for (const alpn of [[], ['-alpn', 'http/1.1']]) {
    const client = spawn('openssl', ['s_client', '-quiet', '-connect', `127.0.0.1:${port}`, ...alpn])
    t.teardown(() => client.kill())
    client.stdin.write(`GET ${refsOf('small')} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const [answer] = (await once(client.stdout, 'data')) as [Buffer]
    t.match(answer.toString('latin1'), /^HTTP\/1\.1 200 OK\r\n/)
  }
})
