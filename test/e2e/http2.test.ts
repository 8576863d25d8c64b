import t, { type Test } from 'tap'
import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { promisify } from 'node:util'
import { Authority } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { answerOf, ask2 } from '../support/http2-server.js'
import { addPackedBranches, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const run = promisify(execFile)
const refs = '/r.git/info/refs?service=git-upload-pack'

/** A sidecar behind TLS with a repository that may be pushed to, and ways to ask it. */
async function serve(t: Test, args: readonly string[] = [], http2 = ['--http2']) {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  await run('git', ['-C', repository, 'config', 'http.receivepack', 'true'])
  const authority = new Authority(t)
  const pair = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  const sidecar = await startSidecar(t, root, {
    args: ['--listen', 'tls:127.0.0.1:0', '--tls-cert', pair.cert, '--tls-key', pair.key, ...http2, ...args],
  })
  const ca = readFileSync(authority.cert)
  const open = () => {
    const client = connect(sidecar.url, { ca }).on('error', () => {})
    t.teardown(() => client.destroy())
    return client
  }
  /** Runs Git with a trace of its HTTP. @returns what it has printed */
  const git = async (...args: string[]): Promise<string> => {
    const env = { ...gitEnvironment, GIT_SSL_CAINFO: authority.cert, GIT_CURL_VERBOSE: '1' }
    return (await run('git', args, { cwd: work, env, maxBuffer: 1 << 26 })).stderr
  }
  return { sidecar, work, repository, authority, pair, open, git }
}

t.test('Git clones, fetches, lists and pushes over HTTP/2, in protocols v0 and v2', async (t) => {
  const { sidecar, work, git, repository } = await serve(t, ['--access-log', 'all'])
  const url = `${sidecar.url}/r.git`
  for (const version of ['0', '2']) {
    const protocol = ['-c', `protocol.version=${version}`]
    const copy = join(work, `copy${version}`)
    t.match(await git(...protocol, 'clone', '-q', url, copy), /using HTTP\/2|HTTP\/2 200/i)
    await git(...protocol, 'ls-remote', url)
    const file = join(copy, `file${version}`)
    writeFileSync(file, randomBytes(3_000_000))
    const as = ['-C', copy, '-c', 'user.name=a', '-c', 'user.email=a@b']
    await git(...as, 'add', '.')
    await git(...as, 'commit', '-q', '-m', 'more')
    // Longer than http.postBuffer, so that its length is not known.
    t.match(await git(...protocol, ...as, 'push', '-q', 'origin', `HEAD:refs/heads/new${version}`), /HTTP\/2/)
    await git(...protocol, '-C', copy, 'fetch', '-q')
    const tip = (directory: string, ref: string): string =>
      spawnSync('git', ['-C', directory, 'rev-parse', ref]).stdout.toString()
    t.equal(tip(repository, `refs/heads/new${version}`), tip(copy, 'HEAD'))
  }
  const requests = sidecar.log.filter((line) => 'network.protocol.version' in line)
  t.ok(requests.length > 10)
  t.same(new Set(requests.map((line) => line['network.protocol.version'])), new Set(['2']))
})

t.test('HTTP/1.1 is spoken on the same address, and alone without --http2', async (t) => {
  const { sidecar, authority } = await serve(t)
  const curl = async (url: string, ...args: string[]): Promise<string> =>
    (
      await run('curl', [
        '-s',
        '--cacert',
        authority.cert,
        '-o',
        '/dev/null',
        '-w',
        '%{http_version} %{http_code}',
        ...args,
        url + refs,
      ])
    ).stdout
  t.equal(await curl(sidecar.url, '--http2'), '2 200')
  t.equal(await curl(sidecar.url, '--http1.1'), '1.1 200')
  const other = await serve(t, [], [])
  const own = ['--cacert', other.authority.cert]
  t.equal(await curl(other.sidecar.url, '--http2', ...own), '1.1 200')
})

t.test('many requests at once get whole and equal answers', async (t) => {
  const { open, repository } = await serve(t)
  addPackedBranches(repository, 10_000)
  const client = open()
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask2(client, { ':path': refs })))
  const [first] = answers
  t.ok(first && first.body.length > 500_000)
  t.ok(answers.every(({ status, code, body }) => status === 200 && code === 0 && body.equals(first!.body)))
})

t.test('nghttp and h2load get whole answers', async (t) => {
  if (spawnSync('h2load', ['--version']).error) return t.pass('skipped: nghttp2-client is not installed')
  const { sidecar } = await serve(t)
  const { stdout } = await run('h2load', ['-n', '500', '-c', '5', '-m', '20', sidecar.url + refs])
  t.match(stdout, /500 succeeded, 0 failed, 0 errored/)
  const shown = spawnSync('nghttp', ['-nv', '--no-verify-peer', sidecar.url + refs])
  t.match(shown.stdout.toString(), /:status: 200/)
})

t.test('a shutdown loses no stream that is under way', async (t) => {
  for (const workers of [[], ['--workers', '2']]) {
    const { sidecar, open, repository } = await serve(t, workers)
    addPackedBranches(repository, 5_000)
    const whole = (await ask2(open(), { ':path': refs })).body
    const clients = Array.from({ length: 4 }, open)
    const streams = clients.flatMap((client) =>
      Array.from({ length: 5 }, () => client.request({ ':path': refs })),
    )
    // None is read on before the shutdown has begun.
    const answers = streams.map(async (stream) => {
      stream.on('error', () => {})
      await once(stream, 'response')
      stream.pause()
      return stream
    })
    const begun = await Promise.all(answers)
    const idle = open()
    await once(idle, 'remoteSettings')
    const gone = clients.map((client) => once(client, 'goaway'))
    const stopped = sidecar.stop()
    await Promise.all(gone)
    for (const { code, body } of await Promise.all(begun.map(answerOf))) {
      if (code !== 0 || !body.equals(whole)) t.fail(`an answer of ${body.length} bytes, code ${code}`)
    }
    t.equal(await stopped, 0)
    await eventually('the idle connection is closed', () => idle.destroyed)
  }
})

t.test('clients are known by their certificates, and by the PROXY protocol', async (t) => {
  const own = new Authority(t)
  const log = ['--access-log', 'all', '--proxy-protocol', '--trusted-proxies', '127.0.0.1']
  const { sidecar, authority } = await serve(t, [...log, '--tls-client-ca', own.cert])
  const alice = own.issue({ name: 'alice' })
  const { port } = new URL(sidecar.url)
  const carrier = connectSocket(Number(port), '127.0.0.1').on('error', () => {})
  carrier.write('PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n')
  const socket = connectTls({
    ...{ socket: carrier, servername: 'localhost', ALPNProtocols: ['h2', 'http/1.1'] },
    ...{ ca: readFileSync(authority.cert), cert: readFileSync(alice.cert), key: readFileSync(alice.key) },
  })
  const client = connect(sidecar.url, { createConnection: () => socket }).on('error', () => {})
  t.teardown(() => client.destroy())
  t.equal((await ask2(client, { ':path': refs })).status, 200)
  const logged = () => sidecar.log.find((line) => 'network.protocol.version' in line)
  await eventually('it is logged', () => logged() !== undefined)
  const line = logged()
  t.match(line, { 'network.protocol.version': '2', 'client.address': '192.0.2.7', 'user.name': 'alice' })
})
