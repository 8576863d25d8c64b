import t from 'tap'
import { eventually } from '../support/eventually.js'
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
  let answer = (): void => {}
  const answered = new Promise<void>((resolve) => (answer = resolve))
  server.beforeAnswer = () => answered
  const first = clients[0](path, { headers: { Authorization: basic } })
  await eventually('the upstream is asked', () => server.requests.length > 0)
  const second = clients[1](path, { headers: { Authorization: basic } })
  await eventually('the second worker waits for the first', async () => {
    return (await sidecar.metric('refstream_fleet_claims_total', { answer: 'held' })) > 0
  })
  answer()
  for (const { status, body } of await Promise.all([first, second])) {
    t.equal(status, 200)
    t.match(body.toString(), / refs\/users\/alice\n/)
  }
  const borrowed = (way: string): Promise<number> =>
    sidecar.metric('refstream_fleet_peer_requests_total', { direction: 'answered', result: way })
  t.equal(await borrowed('ok'), 1, 'the second worker has asked the first')
  t.equal(await borrowed('refused'), 0)
  for (const client of clients) t.equal((await client(path)).status, 401, 'nothing is shown to others')
})
