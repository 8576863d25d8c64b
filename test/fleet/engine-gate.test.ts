import t from 'tap'
import { EngineAway, EngineSlow } from '../../src/fleet/engine-away.js'
import { EngineGate } from '../../src/fleet/engine-gate.js'
import { TooManyFleetLeases, type FleetEngine, type Hint } from '../../src/fleet/engine.js'
import { TableEngine } from '../../src/fleet/engines/table/table-engine.js'
import { Counted } from '../support/fleet/counted.js'
import { ReachedEngine } from '../support/fleet/reached-engine.js'
import { idle, VirtualClock } from '../support/fleet/virtual-clock.js'

const claim = { repository: 'r', key: 'k', state: 's', node: 'a', ttlMs: 10_000 }

function rig(open?: (engine: FleetEngine) => Promise<FleetEngine>) {
  const clock = new VirtualClock()
  const counted = new Counted()
  const table = new TableEngine({ clock })
  const reached = new ReachedEngine(table)
  const log: string[] = []
  const line = (fields: object, message: string): void => {
    log.push(message + ('seconds' in fields ? ` after ${Math.round(Number(fields.seconds))} s` : ''))
  }
  const gate = new EngineGate({
    open: () => (open ? open(reached.engine) : Promise.resolve(reached.engine)),
    ...{ metrics: counted.metrics, clock, random: () => 0.5 },
    log: { info: line, warn: line } as never,
  })
  const changes: boolean[] = []
  gate.onChanged((isUp) => changes.push(isUp))
  return { clock, counted, table, reached, log, gate, changes }
}
const down = 'the engine of the fleet does not answer; this node works alone until it does'
const up = 'the engine of the fleet answers again'

t.test('an engine that answers is asked', async (t) => {
  const { counted, gate, log, changes, clock } = rig()
  t.equal(gate.isUp, false)
  await t.rejects(gate.claim(claim), EngineAway, 'it is being opened')
  await idle()
  t.equal(gate.isUp, true)
  t.match(await gate.claim(claim), { kind: 'granted' })
  t.same(changes, [true])
  t.same(log, [], 'an engine that was there from the start is not worth a line')
  t.same(counted.counts, { up: 1, 'operations.claim.skipped': 1, 'operations.claim.ok': 1 })
  await gate.close()
  t.equal(clock.timers, 0)
  await t.rejects(gate.claim(claim), EngineAway)
})

t.test(
  'an operation has 250 ms; after three failures in a row the engine is away until a probe',
  async (t) => {
    const { counted, gate, reached, log, changes, clock } = rig()
    await idle()
    reached.reach = 'cut'
    const began = clock.now()
    await t.rejects(clock.until(gate.claim(claim)), EngineSlow)
    t.equal(clock.now() - began, 250)
    reached.reach = 'away'
    await t.rejects(gate.epochs(['x']), /refused/)
    t.equal(gate.isUp, true)
    await t.rejects(gate.change('x'), /refused/)
    t.equal(gate.isUp, false)
    t.equal(counted.counts.up, 0)
    await t.rejects(gate.claim(claim), EngineAway, 'at once')
    t.same(log, [down])
    const asked = reached.calls.length
    await clock.pass(5000)
    const probes = reached.calls.slice(asked)
    t.ok(probes.length >= 4 && probes.length <= 6, `${probes.length} probes in 5 s`)
    t.same([...new Set(probes)], ['epochs'])
    await t.rejects(gate.claim(claim), EngineAway, 'also while it is time for a probe')
    t.same(log, [down], 'one line')
    reached.reach = 'up'
    await clock.pass(1300)
    t.equal(gate.isUp, true)
    t.match(await gate.claim(claim), { kind: 'granted' })
    t.same(log, [down, `${up} after 6 s`])
    t.same(changes, [true, false, true])
    t.match(counted.counts, { up: 1, 'operations.claim.timeout': 1, 'operations.claim.skipped': 2 })
    await gate.close()
    t.equal(clock.timers, 0)
  },
)

t.test('a probe that hangs is given up, and only one runs at a time', async (t) => {
  const { gate, reached, clock } = rig()
  await idle()
  reached.reach = 'away'
  for (let each = 0; each < 3; each++) await t.rejects(gate.change('x'))
  reached.reach = 'cut'
  const asked = reached.calls.length
  await clock.pass(3000)
  const probes = reached.calls.length - asked
  t.ok(probes >= 2 && probes <= 3, `${probes} probes in 3 s`)
  await gate.close()
})

t.test('successes between failures keep it up, and a full table is no failure', async (t) => {
  const { gate, reached } = rig()
  await idle()
  for (let each = 0; each < 10; each++) {
    reached.reach = each % 3 === 2 ? 'up' : 'away'
    await gate.change('x').catch(() => {})
  }
  t.equal(gate.isUp, true)
  await gate.close()
  const full = { openLease: () => Promise.reject(new TooManyFleetLeases('full')) }
  const other = rig(() => Promise.resolve(new ReachedEngine(full).engine))
  await idle()
  for (let each = 0; each < 5; each++) await t.rejects(other.gate.openLease({} as never), TooManyFleetLeases)
  t.equal(other.gate.isUp, true)
  t.equal(other.counted.counts['operations.openLease.ok'], 5)
  await other.gate.close()
})

t.test('a claim that is granted too late is released', async (t) => {
  const { gate, reached, table, clock } = rig()
  await idle()
  reached.reach = 'mute'
  await t.rejects(clock.until(gate.claim(claim)), EngineSlow)
  t.match(await table.claim({ ...claim, node: 'b' }), { kind: 'held', node: 'a' })
  reached.answer()
  await idle()
  t.match(await table.claim({ ...claim, node: 'b' }), { kind: 'granted' })
  await gate.close()
})

t.test('an answer that has arrived while the process was busy is in time', async (t) => {
  const { gate, reached, clock } = rig()
  await idle()
  reached.reach = 'mute'
  const claimed = gate.claim(claim)
  await idle()
  // As in a pause of the process: the timer fires first, then the socket is read.
  clock.after(250, () => reached.answer())
  t.match(await clock.until(claimed), { kind: 'granted' })
  await gate.close()
})

t.test('without an engine it tries to open one, and says so once; watches survive', async (t) => {
  let tries = 0
  const { gate, clock, log, changes, counted, table, reached } = rig((engine) =>
    ++tries < 5 ? Promise.reject(new Error('refused')) : Promise.resolve(engine),
  )
  const hints: Hint[] = []
  const stop = gate.watch((hint) => hints.push(hint))
  await clock.pass(1000)
  t.equal(gate.isUp, false)
  t.equal(counted.counts.up, 0)
  t.same(log, [down])
  await clock.pass(15_000)
  t.equal(gate.isUp, true)
  t.equal(tries, 5)
  t.match(log, [down, new RegExp(`^${up}`)])
  t.same(changes, [true])
  const answer = await table.claim(claim)
  if (answer.kind === 'granted') await reached.engine.publish({ ...claim, ...answer }, { kind: 'nothing' })
  t.same(hints, [{ kind: 'key', repository: 'r', key: 'k' }])
  stop()
  await gate.close()
})

t.test('opening that hangs is said, and goes on; an engine that opens after the end is closed', async (t) => {
  let opened = (): void => {}
  let tries = 0
  let closed = 0
  const { gate, clock, log } = rig((engine) => {
    tries++
    const close = async (): Promise<void> => {
      closed++
    }
    const late = { ...engine, close }
    return new Promise((resolve) => (opened = () => resolve(late)))
  })
  await clock.pass(60_000)
  t.equal(tries, 1)
  t.same(log, [down])
  await gate.close()
  opened()
  await idle()
  t.equal(closed, 1)
  t.equal(gate.isUp, false)
  t.equal(clock.timers, 0)
})
