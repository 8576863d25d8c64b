import t from 'tap'
import { setImmediate as turn } from 'node:timers/promises'
import { TooManyFleetLeases, type Claim, type Hint } from '../../../../src/fleet/engine.js'
import { TableEngine } from '../../../../src/fleet/engines/table/table-engine.js'
import { EngineServer } from '../../../../src/fleet/engines/workers/engine-server.js'
import { WorkerEngine } from '../../../../src/fleet/engines/workers/worker-engine.js'
import { eventually } from '../../../support/eventually.js'
import { engineContract } from '../../engine-contract.js'
import { FakeChannel } from './channel-pair.js'

/** A primary with a table, and workers that reach it by channels of this process. */
function setUp(names: readonly string[], options = {}) {
  const table = new TableEngine(options)
  const server = new EngineServer(table)
  const workers = names.map((name) => {
    const [here, there] = FakeChannel.pair()
    server.serve(name, there)
    return { channel: here, served: there, engine: new WorkerEngine({ channel: here }) }
  })
  const engines = workers.map(({ engine }) => engine)
  const close = async (): Promise<void> => {
    await Promise.all(engines.map((engine) => engine.close()))
    server.close()
    await table.close()
  }
  return { table, server, workers, engines, close }
}

t.test('it keeps the contract of engines', (t) =>
  engineContract(t, async () => setUp(['w1', 'w2', 'w3'], { leasesMax: 20 }), {
    shortMs: 60,
    lateMs: 60,
    leasesMax: 20,
  }),
)

const claim = (node: string): Claim => ({ repository: 'r', key: 'k', state: 's', node, ttlMs: 60_000 })

t.test('the leases of a worker that dies end at once, and others are told', async (t) => {
  const { workers, engines, close } = setUp(['w1', 'w2'])
  const [first, second] = engines as [WorkerEngine, WorkerEngine]
  t.equal((await first.claim(claim('w1'))).kind, 'granted')
  t.match(await second.claim(claim('w2')), { kind: 'held', node: 'w1' })
  await first.beat('w1', 60_000)
  const hints: Hint[] = []
  second.watch((hint) => hints.push(hint))
  await second.epochs([])
  const lost = first.renew({ ...claim('w1'), token: 'x' })
  workers[0]!.channel.close()
  await t.rejects(lost, { message: 'the primary process has closed the channel' })
  await t.rejects(first.epochs(['r']), { message: 'the engine is closed' })
  await eventually('the other is told', () => hints.length > 0)
  t.match(hints, [{ kind: 'key', repository: 'r', key: 'k' }])
  t.equal((await second.claim(claim('w2'))).kind, 'granted')
  t.same(await second.beat('w2', 60_000), ['w2'])
  await close()
})

t.test('operations of one turn are one message', async (t) => {
  const { workers, engines, close } = setUp(['w1'])
  const { channel, served } = workers[0]!
  await Promise.all(Array.from({ length: 100 }, () => engines[0]!.epochs(['r'])))
  t.same([channel.sent, served.sent], [1, 1])
  await close()
})

t.test('what waits is bounded: operations are rejected, and hints are lost', async (t) => {
  const table = new TableEngine()
  const server = new EngineServer(table)
  const [here, there] = FakeChannel.pair()
  server.serve('w1', there)
  const engine = new WorkerEngine({ channel: here, waitingMax: 3 })
  here.held = []
  const waiting = [1, 2, 3].map(() => engine.epochs(['r']))
  await t.rejects(engine.epochs(['r']), { message: /^3 operations wait/ })
  await turn()
  const { held } = here
  here.held = undefined
  for (const write of held) write()
  t.equal((await Promise.all(waiting)).length, 3)

  const hints: Hint[] = []
  engine.watch((hint) => hints.push(hint))
  await engine.epochs([])
  there.held = []
  await table.change('first')
  await eventually('it is behind', () => there.held!.length === 1)
  for (let index = 0; index < 5000; index++) await table.change(`r${index % 2000}`)
  const late = there.held
  there.held = undefined
  for (const write of late) write()
  await eventually('the hints that were kept arrive when the worker takes them', () => hints.length > 1)
  await turn()
  t.equal(hints.length, 1 + 1000)
  await engine.close()
  server.close()
})

t.test('errors arrive as they are', async (t) => {
  const { engines, workers, close } = setUp(['w1'], { leasesMax: 1 })
  const [engine] = engines as [WorkerEngine]
  const lease = (id: string) => ({
    id,
    repository: 'r',
    name: 'r',
    reason: undefined,
    openedAtMs: 0,
    ttlMs: 60_000,
  })
  await engine.openLease(lease('a'))
  await t.rejects(engine.openLease(lease('b')), TooManyFleetLeases)
  const answers: unknown[] = []
  workers[0]!.channel.onMessage((message) => answers.push(...(message as unknown[])))
  workers[0]!.channel.send([[7, 'close']])
  workers[0]!.channel.send([[8, 'constructor']])
  await eventually('both are answered', () => answers.length === 2)
  t.match(answers, [
    [7, 'failed', { message: 'there is no operation close' }],
    [8, 'failed', {}],
  ])
  await close()
})

t.test('hints are sent to those who want them only', async (t) => {
  const { engines, workers, close } = setUp(['w1', 'w2'])
  const [first, second] = engines as [WorkerEngine, WorkerEngine]
  const hints: Hint[] = []
  const listener = (hint: Hint): void => void hints.push(hint)
  const stops = [first.watch(listener), first.watch(listener)]
  await first.epochs([])
  await second.change('r')
  await eventually('both listeners are called', () => hints.length === 2)
  t.equal(workers[1]!.served.sent, 1, 'the other worker got its answer only')
  for (const stop of stops) stop()
  await first.epochs([])
  const { sent } = workers[0]!.served
  await second.change('r')
  t.equal(workers[0]!.served.sent, sent)
  await close()
})
