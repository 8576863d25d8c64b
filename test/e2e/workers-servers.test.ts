import t from 'tap'
import { readFileSync } from 'node:fs'
import { credentials } from '@grpc/grpc-js'
import { Authority } from '../support/certificates.js'
import { GrpcClient } from '../support/grpc-client.js'
import { run } from '../support/hooked.js'
import { gitEnvironment } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'
import { workersOf } from '../support/worker-processes.js'
import { startWorkers, whileStopped } from '../support/workers.js'

if (process.platform !== 'linux') {
  t.plan(0, 'the tests read /proc')
  process.exit()
}

t.test('TLS and gRPC: each worker accepts, and all requests are counted', async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  const { wrapper, sidecar } = await startWorkers(
    t,
    ...['--listen', 'tls:127.0.0.1:0', '--tls-cert', cert, '--tls-key', key],
    ...['--grpc', 'tls:127.0.0.1:0'],
  )
  t.match(sidecar.url, /^https:/)
  const options = { cwd: tempDir(t), environment: { ...gitEnvironment, GIT_SSL_CAINFO: authority.cert } }
  const identity = { credentials: credentials.createSsl(readFileSync(authority.cert)) }
  for (const other of workersOf(sidecar.pid)) {
    await whileStopped(other, async () => {
      const listed = await run(options, 'git', 'ls-remote', `${sidecar.url}/r.git`, 'refs/heads/*')
      t.match(listed, { status: 0, output: /\trefs\/heads\/main\n/ })
      const client = new GrpcClient(
        t,
        sidecar.grpcTarget,
        'refstream.v1.RefService',
        { 'grpc.ssl_target_name_override': 'localhost' },
        identity,
      )
      t.match((await client.bytes('Advertise', { repository: 'r.git' })).toString(), / refs\/heads\/main/)
    })
  }
  const requests = (labels: Record<string, string>): Promise<number> =>
    sidecar.metric('refstream_requests_total', labels)
  t.equal(await requests({ transport: 'http' }), 4)
  t.equal(await requests({ transport: 'grpc' }), 2)
  t.equal(await requests({}), 6)
  t.equal(wrapper.count('upload-pack'), 3, 'capabilities, the listing, and the advertisement, each once')
  t.equal(await sidecar.stop(), 0)
})
