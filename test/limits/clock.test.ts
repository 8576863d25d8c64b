import t from 'tap'
import fc from 'fast-check'
import { callAfter, systemClock } from '../../src/limits/clock.js'
import { callAfter as callAfterInStreamcache } from '../../src/streamcache/waiting/timer.js'
import { simulateTimers } from '../support/simulated-timers.js'

t.test('it calls once, and not at all if it was cancelled', async (t) => {
  const called: string[] = []
  const stop = systemClock.after(1, () => called.push('stopped'))
  stop()
  const began = systemClock.now()
  // Keeps this process alive, which the clock's timers do not.
  const alive = setInterval(() => {}, 1000)
  await new Promise<void>((resolve) => {
    systemClock.after(5, () => {
      called.push('called')
      resolve()
    })
  })
  clearInterval(alive)
  t.same(called, ['called'])
  t.ok(systemClock.now() > began)
})

const waits = { callAfter, callAfterInStreamcache, systemClock: systemClock.after.bind(systemClock) }
const day = 86_400_000

for (const [name, after] of Object.entries(waits)) {
  t.test(`${name}: it calls after any delay, and never before`, async (t) => {
    const delay = fc.oneof(
      fc.integer({ min: 1, max: 1000 }),
      fc.integer({ min: 2 ** 31 - 5, max: 2 ** 31 + 5 }),
      fc.integer({ min: 2 ** 32 - 5, max: 2 ** 32 + 5 }),
      fc.integer({ min: day, max: 500 * day }),
    )
    fc.assert(
      fc.property(delay, fc.double({ min: 0, max: 0.999, noNaN: true }), (ms, part) => {
        const timers = simulateTimers(t)
        let [called, stopped] = [0, 0]
        after(ms, () => called++)
        const stop = after(ms, () => stopped++)
        timers.pass(Math.floor(ms * part))
        stop()
        const early = called
        timers.pass(ms - 1 - Math.floor(ms * part))
        const before = called
        timers.pass(1)
        const onTime = called
        timers.pass(10 * day)
        timers.restore()
        return (
          early === 0 && before === 0 && onTime === 1 && called === 1 && stopped === 0 && timers.armed === 0
        )
      }),
      // Decades, too: each is hundreds of timers of Node, which are slow to simulate.
      { numRuns: 100, examples: [[20_000 * day, 0.5]] },
    )
    t.pass()
  })

  t.test(`${name}: delays of zero or less, and infinite ones`, async (t) => {
    const timers = simulateTimers(t)
    const called: number[] = []
    for (const ms of [-1, 0, Infinity]) after(ms, () => called.push(ms))
    timers.pass(1)
    t.same(called, [-1, 0])
    timers.pass(20_000 * day)
    t.same(called, [-1, 0])
    timers.restore()
  })
}
