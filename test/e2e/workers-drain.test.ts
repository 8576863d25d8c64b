import t from 'tap'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { eventually } from '../support/eventually.js'
import { plans } from '../support/git-wrapper.js'
import { makePackRepository } from '../support/pack-repository.js'
import { fetchV2, readFetchAnswer, uploadPackHeaders } from '../support/posted-fetch.js'
import { git } from '../support/repositories.js'
import { workersOf } from '../support/worker-processes.js'
import { startWorkers, whileStopped } from '../support/workers.js'

if (process.platform !== 'linux') {
  t.plan(0, 'the tests read /proc')
  process.exit()
}

t.test('SIGTERM: a worker without clients ends after those who read what it makes', async (t) => {
  const { root, wrapper, sidecar } = await startWorkers(t)
  const repository = makePackRepository(root, 'p.git', { bulk: 100_000 })
  const workers = workersOf(sidecar.pid) as [number, number]
  const body = fetchV2([`want ${git(repository, 'rev-parse', 'main')}`, 'done'])
  /** Begins a fetch at a worker, which is the one that is not stopped while it connects. */
  const begin = async (stopped: number): Promise<ClientRequest> => {
    const client = request(`${sidecar.url}/p.git/git-upload-pack`, {
      method: 'POST',
      agent: false,
      headers: {
        ...uploadPackHeaders,
        ...{ 'git-protocol': 'version=2', 'content-length': body.length, connection: 'close' },
      },
    })
    client.on('error', () => {})
    await whileStopped(stopped, async () => {
      // Its head shows who has accepted the connection: 100 (Continue) comes from there.
      client.setHeader('Expect', '100-continue')
      client.flushHeaders()
      await once(client, 'continue')
    })
    client.end(body)
    return client
  }
  const answerOf = async (client: ClientRequest): Promise<IncomingMessage> => {
    const [response] = (await once(client, 'response')) as [IncomingMessage]
    await once(response, 'readable')
    return response
  }
  wrapper.plan(plans.pause(20_000))
  const maker = await begin(workers[1])
  const made = await answerOf(maker)
  const follower = await begin(workers[0])
  const followed = await answerOf(follower)
  t.equal(wrapper.count('upload-pack'), 1)

  const exit = sidecar.stop()
  made.on('error', () => {})
  maker.destroy()
  await eventually('one client is left', async () => {
    return (await sidecar.metric('refstream_requests_under_way')) === 1
  })
  // Longer than the worker takes to see that its last connection is closed.
  await sleep(300)
  t.equal(workersOf(sidecar.pid).length, 2)
  wrapper.signal('go')
  const { pack } = readFetchAnswer(Buffer.concat((await followed.toArray()) as Buffer[]))
  t.ok(pack.length > 100_000)
  t.equal(await exit, 0)
})
