import t from 'tap'
import { systemClock } from '../../src/limits/clock.js'

t.test('it calls once, and not at all if it was told not to', async (t) => {
  const called: string[] = []
  const stop = systemClock.after(1, () => called.push('stopped'))
  stop()
  const began = systemClock.now()
  // What is waited for keeps this program alive: the clock's timers do not.
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
