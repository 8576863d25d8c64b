import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { startLoadBalancer, type LoadBalancer } from '../support/fleet/load-balancer.js'
import { startFleet, type SpawnedFleet } from '../support/fleet/nodes.js'
import { skipRedis, startRedis } from '../support/fleet/redis.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs, type Answer } from '../support/http-client.js'
import type { SpawnedSidecar } from '../support/sidecar.js'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

/** A Git that waits for `go`. */
const waits = ': > "$dir/paused"; while [ ! -f "$dir/go" ]; do sleep 0.01; done\n'

async function setUp(t: Test, ...args: string[]) {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 200)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(undefined)
  const redis = await startRedis(t)
  const engine = `redis://127.0.0.1:${redis.port}`
  const fleet = await startFleet(t, {
    root,
    engine,
    args: ['--git', wrapper.path, '--splice', 'off', ...args],
  })
  await eventually('the engine is there', async () => (await fleet.metric('refstream_fleet_engine_up')) === 3)
  let pushes = 0
  /** Makes another state. @returns what its advertisement says */
  const push = (): string => {
    git(repository, 'update-ref', `refs/heads/pushed-${++pushes}`, 'refs/heads/main')
    return `refs/heads/pushed-${pushes}\n`
  }
  return { root, wrapper, redis, fleet, push }
}

/** Clients in loops: each request on a connection of its own, nothing is tried again. */
function startClients(balancer: LoadBalancer, expected: () => string) {
  let isEnded = false
  const faults: string[] = []
  let answers = 0
  const loop = async (): Promise<void> => {
    while (!isEnded) {
      const text = expected()
      try {
        const { status, body } = await ask(infoRefs(balancer.url, 'r.git'))
        if (status !== 200) faults.push(`status ${status}: ${body.toString().slice(0, 200)}`)
        else if (!body.includes(text)) faults.push(`an answer without ${text}`)
        else if (!body.subarray(-4).equals(Buffer.from('0000'))) faults.push('a short answer')
        answers++
      } catch (error) {
        faults.push(String((error as NodeJS.ErrnoException).code ?? error))
      }
    }
  }
  const loops = Promise.all(Array.from({ length: 6 }, loop))
  return {
    get answers() {
      return answers
    },
    /** Resolves with what went wrong. */
    end: async (): Promise<string[]> => {
      isEnded = true
      await loops
      return faults
    },
  }
}

const isWhole = ({ status, body }: Answer, text: string): boolean =>
  status === 200 && body.includes(text) && body.subarray(-4).equals(Buffer.from('0000'))

/** Milliseconds after which the state of a repository is settled, on any filesystem of a test. */
const settled = (): Promise<void> => sleep(200)

/** Resolves when the node has told the engine of a fill that it has made. */
const published = (node: SpawnedSidecar): Promise<void> =>
  eventually('it is published', async () => {
    return (await node.metric('refstream_fleet_engine_operations_total', { operation: 'publish' })) === 1
  })

/** Resolves when the node has been told to end. */
const draining = (fleet: SpawnedFleet, index: number): Promise<void> =>
  eventually(
    'the node drains',
    async () => (await ask(`${fleet.nodes[index]!.adminUrl}/readyz`)).status === 503,
  )

t.test('all nodes are restarted under load: no client sees it', { skip: skipRedis }, async (t) => {
  const { wrapper, fleet, push } = await setUp(t)
  const balancer = await startLoadBalancer(t, () => fleet.nodes)
  await eventually('all are ready', () => balancer.ready === 3)
  let expected = push()
  let states = 1
  await ask(infoRefs(fleet.nodes[0]!.url, 'r.git'))
  const clients = startClients(balancer, () => expected)
  for (const index of [0, 1, 2]) {
    const before = clients.answers
    await eventually('all nodes have answered', () => clients.answers > before + 30)
    expected = push()
    states++
    await eventually('the new state is answered', () => clients.answers > before + 60)
    t.equal(await fleet.nodes[index]!.stop(), 0)
    await fleet.restart(index)
    await eventually('it is ready again', () => balancer.ready === 3)
  }
  const before = clients.answers
  await eventually('all nodes have answered', () => clients.answers > before + 30)
  t.same(await clients.end(), [])
  // A ref that is locked or written while a fill runs changes the state under it, so there may be two for a state.
  const processes = wrapper.count('upload-pack')
  t.ok(processes >= states && processes <= 2 * states, `${processes} processes for ${states} states`)
})

t.test('a node ends while it fills for its own client and others', { skip: skipRedis }, async (t) => {
  const { wrapper, fleet, push } = await setUp(t)
  const [a, b, c] = fleet.nodes
  const expected = push()
  wrapper.plan(waits)
  const own = ask(infoRefs(a!.url, 'r.git'))
  await eventually('a fills', () => wrapper.hasFile('paused'))
  const following = ask(infoRefs(b!.url, 'r.git'))
  await eventually('b follows', async () => (await b!.metric('refstream_fleet_claims_total')) === 1)
  const ended = a!.stop()
  await draining(fleet, 0)
  const late = ask(infoRefs(c!.url, 'r.git'))
  await eventually('c follows', async () => (await c!.metric('refstream_fleet_claims_total')) === 1)
  wrapper.signal('go')
  for (const answer of await Promise.all([own, following, late])) t.ok(isWhole(answer, expected))
  t.equal(await ended, 0)
  t.equal(wrapper.count('upload-pack'), 1)
  t.equal(await fleet.metric('refstream_fleet_takeovers_total'), 0)
})

t.test('a node ends while it fills for other nodes only', { skip: skipRedis }, async (t) => {
  const { wrapper, fleet, push } = await setUp(t)
  const [a, b, c] = fleet.nodes
  await ask(infoRefs(a!.url, 'r.git'))
  await published(a!)
  const expected = push()
  await settled()
  wrapper.plan(waits)
  // The node that has made the last state is asked for the next.
  const following = ask(infoRefs(b!.url, 'r.git'))
  await eventually('a fills', () => wrapper.hasFile('paused'))
  t.equal(await b!.metric('refstream_fleet_claims_total', { answer: 'published' }), 1)
  const ended = a!.stop()
  await draining(fleet, 0)
  const late = ask(infoRefs(c!.url, 'r.git'))
  await eventually('c follows', async () => (await c!.metric('refstream_fleet_claims_total')) >= 1)
  // A second one would be started at once.
  wrapper.signal('go')
  for (const answer of await Promise.all([following, late])) t.ok(isWhole(answer, expected))
  t.equal(await ended, 0)
  t.equal(wrapper.count('upload-pack'), 2, 'one for each state')
})

t.test('a node that ends begins nothing for others', { skip: skipRedis }, async (t) => {
  const { wrapper, fleet, push } = await setUp(t)
  const [a, b] = fleet.nodes
  await ask(infoRefs(a!.url, 'r.git'))
  wrapper.plan(waits, 'http-backend')
  // A client that keeps the node from ending.
  const slow = ask(`${a!.url}/r.git/HEAD`)
  await eventually('a is busy', () => wrapper.hasFile('paused'))
  const ended = a!.stop()
  await draining(fleet, 0)
  const expected = push()
  await settled()
  t.ok(isWhole(await ask(infoRefs(b!.url, 'r.git')), expected))
  t.equal(await b!.metric('refstream_fleet_claims_total', { answer: 'granted' }), 1, 'b has made it')
  wrapper.signal('go')
  t.equal((await slow).status, 200)
  t.equal(await ended, 0)
})
