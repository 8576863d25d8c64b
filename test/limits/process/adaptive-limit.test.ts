import t from 'tap'
import { AdaptiveLimit } from '../../../src/limits/process/adaptive-limit.js'
import type { Pressure } from '../../../src/limits/process/pressure.js'
import { FakeClock } from '../../support/fake-clock.js'
import { SimulatedHost } from '../../support/simulated-host.js'
import { turns } from '../../support/producers.js'

/** Single decisions: the test sets the figures, then a period passes. */
class Rig {
  readonly clock = new FakeClock()
  readonly limiter = { limit: 32, scarce: true, running: () => this.busy }
  readonly changes: string[] = []
  busy = 0
  pressure: Pressure | Error = {}
  readonly adaptive = new AdaptiveLimit({
    limiter: this.limiter,
    floor: 4,
    ceiling: 34,
    periodMs: 1000,
    clock: this.clock,
    readPressure: async () => {
      if (this.pressure instanceof Error) throw this.pressure
      return this.pressure
    },
    changed: (cause, limit) => this.changes.push(`${cause} ${limit}`),
  })
  readonly stop = this.adaptive.start()

  async periods(count = 1): Promise<number> {
    for (let period = 0; period < count; period++) {
      this.clock.advance(1000)
      await turns(2)
    }
    return this.limiter.limit
  }

  /** Sixteen fills of some groups. */
  fills(ms: number, groups = 2): void {
    for (let fill = 0; fill < 16; fill++)
      this.adaptive.recordFill(String(fill % groups), ms * (1 + (fill % groups)))
  }
}

t.test('the limit grows by one while a request waits, up to the ceiling', async (t) => {
  const rig = new Rig()
  t.equal(await rig.periods(), 33)
  rig.limiter.scarce = false
  t.equal(await rig.periods(5), 33)
  rig.limiter.scarce = true
  t.equal(await rig.periods(5), 34)
  t.same(rig.changes, ['demand 33', 'demand 34'])
  rig.stop()
})

t.test('each figure halves the limit, down to the floor, with a rest in between', async (t) => {
  for (const [figure, cut, hold] of [
    ['cpu', 95, 94],
    ['memory', 25, 24],
    ['io', 90, 89],
    ['memoryUsed', 0.9, 0.89],
  ] as const) {
    const rig = new Rig()
    rig.pressure = { [figure]: hold }
    t.equal(await rig.periods(3), 32, 'neither grows nor shrinks')
    rig.pressure = { [figure]: cut }
    t.equal(await rig.periods(10), 16)
    t.equal(await rig.periods(10), 8)
    t.equal(await rig.periods(30), 4)
    rig.pressure = new Error('unreadable')
    t.equal(await rig.periods(10), 14, 'an unknown figure has no effect')
    t.match(rig.changes, [`${figure} 16`, `${figure} 8`, `${figure} 4`, 'demand 5'])
    rig.stop()
  }
})

t.test('fills that take twice as long as their baseline halve the limit', async (t) => {
  const rig = new Rig()
  rig.limiter.scarce = false
  rig.fills(100)
  await rig.periods()
  rig.busy = 20
  rig.fills(190)
  t.equal(await rig.periods(), 32)
  for (let group = 0; group < 30; group++) rig.adaptive.recordFill(`new ${group}`, 10_000)
  t.equal(await rig.periods(), 32, 'groups without a baseline do not count')
  rig.fills(210)
  t.equal(await rig.periods(), 16)
  rig.fills(210)
  t.equal(await rig.periods(12), 16, 'fills that started before the decrease do not count')
  rig.fills(210)
  t.equal(await rig.periods(), 8)
  rig.stop()
})

t.test('the baseline is learned under light load only', async (t) => {
  const rig = new Rig()
  rig.limiter.scarce = false
  rig.fills(100)
  rig.busy = 20
  for (let ms = 100; ms < 190; ms++) rig.fills(ms)
  rig.fills(150)
  await rig.periods()
  rig.fills(210)
  t.equal(await rig.periods(), 16, 'fills that get slower step by step do not change the baseline')
  await rig.periods(10)
  rig.busy = 4
  for (let round = 0; round < 10; round++) rig.fills(300)
  await rig.periods(20)
  const { limit } = rig.limiter
  rig.busy = 20
  rig.fills(500)
  t.equal(await rig.periods(), limit, 'a repository that has grown has a new baseline')
  rig.stop()
})

t.test('stopping ends the decisions', async (t) => {
  const rig = new Rig()
  rig.clock.advance(1000)
  rig.stop()
  await turns()
  t.equal(await rig.periods(5), 32)
  t.equal(rig.clock.timers, 0)
})

t.test('under three times the load that the host can take, throughput stays', async (t) => {
  const calm = 5
  const tooMany = 60
  const fixed = new SimulatedHost(64)
  t.ok((await fixed.pass(20, calm)) > 4)
  t.ok((await fixed.pass(60, tooMany)) < 3, 'with a fixed limit of 64 hardly any fill ends')

  for (const sees of ['durations', 'pressure'] as const) {
    const host = new SimulatedHost(64, sees)
    t.ok((await host.pass(20, calm)) > 4)
    await host.pass(40, tooMany)
    t.ok((await host.pass(60, tooMany)) > 15, `most of 20 per second by ${sees}`)
    host.cores = 0.5
    t.ok((await host.pass(40, tooMany)) > 3.5, 'another program takes three quarters of the CPU')
    host.cores = 2
    await host.pass(20, tooMany)
    t.ok((await host.pass(60, tooMany)) > 15, 'it recovers')
    t.ok((await host.pass(40, calm)) > 4)
    t.equal(host.limiter.waiting('fill'), 0)
  }
})
