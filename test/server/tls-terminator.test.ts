import t, { type Test } from 'tap'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect as connectPlain, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect, type ConnectionOptions } from 'node:tls'
import { CertificateExpiry } from '../../src/server/certificate-expiry.js'
import type { TlsFiles } from '../../src/server/tls-material.js'
import { TlsTerminator } from '../../src/server/tls-terminator.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { Authority, type Pair } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { tempDir } from '../support/temp-dir.js'

/** An HTTP server behind TLS, whose answers are the names of its clients. */
async function serve(t: Test, files: Pair & Partial<TlsFiles>, handshakeMs = 60_000) {
  const metrics = new Metrics()
  const all = { clientCa: undefined, clientNames: undefined, ...files }
  const log = createLog('silent')
  const certificates = new CertificateExpiry({ metrics, log })
  t.teardown(() => certificates.close())
  const tls = new TlsTerminator({ files: all, handshakeMs, certificates, metrics, log })
  const server = createServer((request, response) => {
    response.end(`hello ${tls.nameOf(request.socket)}`)
  })
  const front = tls.inFrontOf(server, 'http/1.1').listen(0, '127.0.0.1')
  await once(front, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
    tls.endHandshakes()
    front.close()
  })
  const { port } = front.address() as AddressInfo
  const refused = async (reason: string): Promise<number> => {
    const { values } = await metrics.tlsRefused.get()
    return values.find(({ labels }) => labels.reason === reason)?.value ?? 0
  }
  return { tls, port, metrics, refused, server, front }
}

/** One request on a connection that stays open. @returns its answer's last line; an error if none came */
async function hello(port: number, options: ConnectionOptions) {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ...options })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const text = await new Promise<string>((resolve, reject) => {
    socket.on('error', reject)
    socket.once('close', () => reject(new Error('closed')))
    socket.once('data', (data: Buffer) => resolve(data.toString().split('\r\n').at(-1) ?? ''))
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  })
  return { text, socket, closed }
}

const pem = ({ cert, key }: Pair) => ({ cert: readFileSync(cert), key: readFileSync(key) })

t.test('a reload replaces the certificate', async (t) => {
  const authority = new Authority(t)
  const files = { cert: join(tempDir(t), 'cert.pem'), key: join(tempDir(t), 'key.pem') }
  const use = ({ cert, key }: Pair): void => {
    copyFileSync(cert, files.cert)
    copyFileSync(key, files.key)
  }
  const names = { san: 'DNS:localhost' }
  use(authority.issue(names))
  const { tls, port, metrics } = await serve(t, files)
  const ca = readFileSync(authority.cert)
  const first = await hello(port, { ca })
  t.equal(first.text, 'hello undefined')
  const shown = first.socket.getPeerCertificate().serialNumber
  const expiry = async () => (await metrics.tlsExpiry.get()).values[0]?.value
  t.equal(await expiry(), Date.parse(first.socket.getPeerCertificate().valid_to) / 1000)

  // A new key without its certificate, as seen between two writes.
  const next = authority.issue({ ...names, days: 1 })
  copyFileSync(next.key, files.key)
  t.throws(() => tls.reload(), /mismatch/)
  t.equal((await hello(port, { ca })).socket.getPeerCertificate().serialNumber, shown, 'the old pair stays')
  writeFileSync(files.cert, 'no certificate')
  t.throws(() => tls.reload(), /no certificate/)
  use(next)
  tls.reload()
  const second = await hello(port, { ca })
  t.not(second.socket.getPeerCertificate().serialNumber, shown)
  t.equal(await expiry(), Date.parse(second.socket.getPeerCertificate().valid_to) / 1000)
  t.notOk(first.socket.destroyed, 'an open connection stays open')

  use(authority.issue({ ...names, days: -1 }))
  tls.reload()
  await t.rejects(hello(port, { ca }), { code: 'CERT_HAS_EXPIRED' })
  use(authority.issue({ san: 'DNS:elsewhere' }))
  tls.reload()
  await t.rejects(hello(port, { ca }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  for (const { socket } of [first, second]) socket.destroy()
})

t.test('client certificates are verified, and again after a reload', async (t) => {
  const authority = new Authority(t)
  const stranger = new Authority(t)
  const directory = tempDir(t)
  const clientCa = join(directory, 'ca.pem')
  const clientNames = join(directory, 'names')
  const trust = (...authorities: Authority[]): void =>
    writeFileSync(clientCa, authorities.map(({ cert }) => readFileSync(cert, 'utf8')).join('\n'))
  trust(authority, stranger)
  writeFileSync(clientNames, '# those\nci-*.example\nspiffe://example/git\nplain\nother\n')
  const { tls, port, refused } = await serve(t, {
    ...authority.issue({ san: 'DNS:localhost' }),
    clientCa,
    clientNames,
  })
  const ca = readFileSync(authority.cert)
  const as = (pair: Pair | undefined, options: ConnectionOptions = {}) =>
    hello(port, { ca, ...(pair && pem(pair)), ...options })

  const ci = authority.issue({ name: 'nobody', san: 'DNS:ci-7.example,email:ci@example' })
  const ours = await as(ci)
  t.equal(ours.text, 'hello ci-7.example')
  const uri = await as(authority.issue({ name: 'nobody', san: 'URI:spiffe://example/git' }))
  t.equal(uri.text, 'hello spiffe://example/git')
  const theirs = await as(stranger.issue({ name: 'plain' }))
  t.equal(theirs.text, 'hello plain', 'the common name, if there are no others')

  const bad = {
    'without a certificate': undefined,
    'of an unknown authority': new Authority(t).issue({ name: 'plain' }),
    'that has expired': authority.issue({ name: 'plain', days: -1 }),
    'with another name': authority.issue({ name: 'someone' }),
    'with an allowed common name beside another name': authority.issue({ name: 'plain', san: 'DNS:evil' }),
  }
  let count = 0
  for (const [what, pair] of Object.entries(bad)) {
    await t.rejects(as(pair), what)
    count++
    await eventually('it is counted', async () => (await refused('client')) === count)
  }

  // A resumed session would have been verified by the earlier files.
  let session: Buffer | undefined
  ours.socket.on('session', (ticket) => (session = ticket))
  trust(authority)
  writeFileSync(clientNames, 'ci-*.example\nother\n')
  tls.reload()
  await Promise.all([uri.closed, theirs.closed])
  t.notOk(ours.socket.destroyed, 'only connections of clients that are rejected now are closed')
  t.equal((await as(ci)).text, 'hello ci-7.example')
  await t.rejects(as(stranger.issue({ name: 'other' })), 'its authority is gone')
  writeFileSync(clientNames, '')
  tls.reload()
  await ours.closed
  await t.rejects(as(ci, session ? { session } : {}), 'its name is gone')
})

t.test('a connection without a valid handshake is closed', async (t) => {
  const pair = new Authority(t).issue()
  const { port, refused } = await serve(t, pair, 100)
  for (const [index, bytes] of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\xff\xff\0\0', '\0', ''].entries()) {
    const socket = connectPlain(port, '127.0.0.1')
    socket.on('error', () => {}).resume()
    socket.write(bytes)
    await once(socket, 'close')
    t.pass(`closed: ${JSON.stringify(bytes)}`)
    await eventually('counted', async () => (await refused('handshake')) === index + 1)
  }
})

t.test('a handshake under way does not delay the close of a server', async (t) => {
  const pair = new Authority(t).issue()
  const { tls, port, front } = await serve(t, pair)
  const socket = connectPlain(port, '127.0.0.1').on('error', () => {})
  await once(front, 'connection')
  const closed = new Promise((resolve) => front.close(resolve))
  tls.endHandshakes()
  await closed
  t.ok(socket)
})

t.test('idle connections are closed as without TLS', async (t) => {
  const authority = new Authority(t)
  const { port, server, front } = await serve(t, authority.issue({ san: 'DNS:localhost' }))
  const { socket, closed } = await hello(port, { ca: readFileSync(authority.cert) })
  const frontClosed = new Promise((resolve) => front.close(resolve))
  server.closeIdleConnections()
  await closed
  await frontClosed
  t.ok(socket.destroyed)
})
