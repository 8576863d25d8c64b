import t from 'tap'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { readFileSync } from 'node:fs'
import { Authority } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { freePorts } from '../support/free-ports.js'
import { gitIn } from '../support/hooked.js'
import { before, header1, header2 } from '../support/proxy-header.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { outputOf, serverPath, skipReason } from '../support/upstreams/programs.js'
import { startProcess } from '../support/upstreams/server-process.js'

const head = 'GET /r.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

/** Resolves with the clients of the requests in the access log, when there are so many. */
async function clientsOf(sidecar: SpawnedSidecar, count: number): Promise<unknown[]> {
  const found = () => sidecar.log.filter((line) => line['event.name'] === 'refstream.request')
  await eventually(`${count} requests are logged`, () => found().length >= count)
  return found().map((line) => line['client.address'])
}

t.test('with TLS, the header comes before the handshake', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const authority = new Authority(t)
  const { cert, key } = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  const sidecar = await startSidecar(t, root, {
    args: [
      ...['--listen', 'tls:127.0.0.1:0', '--tls-cert', cert, '--tls-key', key],
      ...['--proxy-protocol', '--trusted-proxies', '127.0.0.1', '--access-log', 'all', '--workers', '2'],
    ],
  })
  const port = Number(new URL(sidecar.url).port)
  const ca = readFileSync(authority.cert)
  for (const header of [header1('192.0.2.7'), header2('2001:db8::7')]) {
    const carrier = connect(port, '127.0.0.1')
    carrier.write(header)
    const socket = connectTls({ socket: carrier, ca, servername: 'localhost' })
    socket.write(head)
    t.match(await text(socket), /^HTTP\/1\.1 200 /)
  }
  t.same(await clientsOf(sidecar, 2), ['192.0.2.7', '2001:db8::7'])
  const early = connectTls({ port, host: '127.0.0.1', ca, servername: 'localhost' })
  t.equal(await text(early).catch(() => ''), '')
  t.equal(await sidecar.metric('refstream_proxy_headers_refused_total', { reason: 'malformed' }), 1)
  t.equal(await sidecar.stop(), 0)
})

t.test('without the setting, no header is read', async (t) => {
  const root = tempDir(t)
  const sidecar = await startSidecar(t, root, { args: ['--trusted-proxies', '127.0.0.1'] })
  const socket = connect(Number(new URL(sidecar.url).port), '127.0.0.1')
  socket.write(before(header1('192.0.2.7'), head))
  t.match(await text(socket), /^HTTP\/1\.1 400 /)
})

const haproxy = skipReason(
  'HAProxy',
  outputOf('haproxy', '-v') === undefined ? 'haproxy is not installed' : undefined,
)
t.test('Git clones and pushes through HAProxy', { skip: haproxy }, async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'http.receivepack', 'true')
  const authority = new Authority(t)
  const { cert, key } = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  // HAProxy connects from another address than its clients: theirs would be taken for a proxy's.
  const common = ['--proxy-protocol', '--trusted-proxies', '127.0.0.9', '--access-log', 'all']
  const plain = await startSidecar(t, root, { args: common })
  const tls = await startSidecar(t, root, {
    args: ['--listen', 'tls:127.0.0.1:0', '--tls-cert', cert, '--tls-key', key, ...common],
  })
  const place = tempDir(t)
  const ports = await freePorts(3)
  const backends = [
    ['one', plain, 'send-proxy'],
    ['two', plain, 'send-proxy-v2'],
    ['three', tls, 'send-proxy-v2'],
  ] as const
  const sections = backends.map(
    ([name, { url }, option], index) => `
listen ${name}
  bind 127.0.0.1:${ports[index]}
  server s 127.0.0.1:${new URL(url).port} ${option} source 127.0.0.9
`,
  )
  writeFileSync(
    join(place, 'haproxy.cfg'),
    `
defaults
  mode tcp
  timeout connect 60s
  timeout client 60s
  timeout server 60s
${sections.join('')}`,
  )
  const server = startProcess(t, 'haproxy', ['-db', '-f', join(place, 'haproxy.cfg')], {
    environment: { PATH: serverPath },
  })
  for (const port of ports) await server.listensOn({ port })
  const work = tempDir(t)
  const options = { cwd: work, environment: { ...gitEnvironment, GIT_SSL_CAINFO: authority.cert } }
  for (const [index, [name, { url }]] of backends.entries()) {
    const clone = join(work, name)
    await gitIn(
      options,
      'clone',
      '--quiet',
      `${new URL(url).protocol}//127.0.0.1:${ports[index]}/r.git`,
      name,
    )
    await gitIn(options, '-C', clone, 'commit', '--quiet', '--allow-empty', '-m', name)
    await gitIn(options, '-C', clone, 'push', '--quiet', 'origin', `HEAD:refs/heads/${name}`)
    t.equal(git(repository, 'rev-parse', name), git(clone, 'rev-parse', 'HEAD'), name)
  }
  for (const sidecar of [plain, tls]) {
    t.same(new Set(await clientsOf(sidecar, 5)), new Set(['127.0.0.1']))
    const pushes = sidecar.log.filter((line) => line['event.name'] === 'refstream.push')
    t.ok(pushes.length > 0)
    for (const push of pushes) t.equal(push['client.address'], '127.0.0.1')
    t.equal(await sidecar.metric('refstream_proxy_headers_refused_total'), 0)
  }
})
