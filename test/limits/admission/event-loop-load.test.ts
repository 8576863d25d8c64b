import t from 'tap'
import { EventLoopLoad } from '../../../src/limits/admission/event-loop-load.js'
import { FakeClock } from '../../support/fake-clock.js'

function create(busyMs: number) {
  const clock = new FakeClock()
  let idle = 0
  const use = new EventLoopLoad({ saturatedAfterMs: busyMs, clock, idleMs: () => idle })
  /** Lets time pass in steps of 0.1 s; in each the load is read, and the loop is idle for that part of it. */
  const spend = (ms: number, part: number): boolean => {
    let busy = use.saturated
    for (let tenth = 0; tenth < ms / 100; tenth++) {
      idle += part * 100
      clock.advance(100)
      busy = use.saturated
    }
    return busy
  }
  return { clock, use, spend }
}

t.test('saturated after that long without a pause, until there is one', (t) => {
  const { spend } = create(500)
  t.notOk(spend(400, 0))
  t.ok(spend(100, 0))
  t.ok(spend(1000, 0.01), 'idle moments are no pause')
  t.notOk(spend(100, 0.1))
  t.notOk(spend(400, 0), 'and again')
  t.ok(spend(100, 0))
  t.end()
})

t.test('a burst does not saturate the loop', (t) => {
  const { spend } = create(500)
  for (let burst = 0; burst < 10; burst++) t.notOk(spend(400, 0) || spend(100, 0.5))
  t.end()
})

t.test('without a read no timer runs', (t) => {
  const { clock, use, spend } = create(500)
  t.equal(clock.timers, 0)
  t.ok(spend(1000, 0))
  t.equal(clock.timers, 1)
  clock.advance(200)
  t.equal(clock.timers, 0)
  t.notOk(use.saturated, 'the count starts anew')
  t.end()
})

t.test('with an infinite limit the loop is never saturated', (t) => {
  t.notOk(create(Infinity).spend(100_000, 0))
  t.end()
})

t.test('the real loop is saturated while it never waits', async (t) => {
  const use = new EventLoopLoad({ saturatedAfterMs: 200 })
  while (!use.saturated) await new Promise(setImmediate)
  t.pass('it was seen')
})
