import t from 'tap'
import { connect, type ClientHttp2Session } from 'node:http2'
import { once } from 'node:events'
import { GrpcClient } from '../support/grpc-client.js'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const MiB = 1024 * 1024

t.test('calls without credentials whose requests never come do not affect other clients', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 10)
  const sidecar = await startSidecar(t, root, { args: ['--export-all', '--grpc', '127.0.0.1:0'] })
  const client = () => new GrpcClient(t, sidecar.grpcTarget, 'refstream.v1.RefService')
  const burst = async (): Promise<number> => {
    const honest = client()
    const calls = Array.from({ length: 2000 }, () => honest.bytes('Advertise', { repository: 'r.git' }))
    return new Set((await Promise.all(calls)).map(String)).size
  }
  t.equal(await burst(), 1, 'all answers are equal')

  /** Sends heads of calls, and of messages, on a connection of its own. */
  const flood = async (sent: Buffer, metadata: Record<string, string>): Promise<ClientHttp2Session> => {
    const session = connect(`http://${sidecar.grpcTarget}`).on('error', () => {})
    t.teardown(() => session.destroy())
    await once(session, 'remoteSettings')
    for (let stream = 0; stream < 1000; stream++) {
      const call = session.request({
        ':method': 'POST',
        ':path': '/refstream.v1.RefService/Advertise',
        'content-type': 'application/grpc',
        te: 'trailers',
        ...metadata,
      })
      call.on('error', () => {}).resume()
      if (sent.length > 0) call.write(sent)
    }
    // Sent after all of them.
    await new Promise((resolve) => session.ping(resolve))
    return session
  }
  const half = Buffer.alloc(16 * 1024)
  half.writeUInt32BE(MiB, 1)
  const large = Object.fromEntries([1, 2, 3].map((index) => [`m${index}`, 'x'.repeat(4000)]))
  for (const [what, sent, metadata] of [
    ['nothing', Buffer.alloc(0), {}],
    ['half of a message', half, {}],
    ['large metadata', Buffer.alloc(0), large],
  ] as const) {
    const sessions: ClientHttp2Session[] = []
    for (let connection = 0; connection < 5; connection++) sessions.push(await flood(sent, metadata))
    t.equal(await burst(), 1, `5000 calls of ${what}`)
    const rss = await sidecar.metric('process_resident_memory_bytes')
    t.ok(rss < 600 * MiB, `${Math.round(rss / MiB)} MiB`)
    for (const session of sessions) session.destroy()
  }
  t.equal(await sidecar.stop(), 0)
})
