import t from 'tap'
import { PermissionServer } from '../support/permission-server.js'
import { startSidecar } from '../support/sidecar.js'
import { workersOf } from '../support/worker-processes.js'
import { connectToEach } from '../support/workers.js'

if (process.platform !== 'linux') {
  t.plan(0, 'the tests read /proc')
  process.exit()
}

const basic = `Basic ${Buffer.from('alice:hunter2').toString('base64')}`

t.test('workers share what an upstream shows to a client with credentials', async (t) => {
  const server = await new PermissionServer({
    users: { [basic]: 'alice' },
    repositories: { 'team/secret': { readers: ['alice'], content: 'secret' } },
  }).start(t)
  const args = ['--workers', '2', '--upstream', server.url, '--upstream-freshness', 'bounded:600']
  const sidecar = await startSidecar(t, undefined, { args })
  const clients = await connectToEach(t, sidecar.url, workersOf(sidecar.pid))
  const path = '/team/secret/info/refs?service=git-upload-pack'
  for (const client of clients) {
    const { status, body } = await client(path, { headers: { Authorization: basic } })
    t.equal(status, 200)
    t.match(body.toString(), / refs\/users\/alice\n/)
  }
  const borrowed = (way: string): Promise<number> =>
    sidecar.metric('refstream_fleet_peer_requests_total', { direction: 'answered', result: way })
  t.equal(await borrowed('ok'), 1, 'the second worker has asked the first')
  t.equal(await borrowed('refused'), 0)
  for (const client of clients) t.equal((await client(path)).status, 401, 'nothing is shown to others')
})
