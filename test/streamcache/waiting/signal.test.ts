import t from 'tap'
import { Signal } from '../../../src/streamcache/waiting/signal.js'
import { pending } from '../../support/producers.js'

t.test('notify wakes all waiters, and none that comes later', async (t) => {
  const signal = new Signal()
  signal.notify()
  const first = signal.wait()
  t.equal(signal.wait(), first, 'waiters share one promise')
  t.ok(await pending(first), 'a notification before the wait is not remembered')
  signal.notify()
  const later = signal.wait()
  await first
  t.ok(await pending(later))
  signal.notify()
  await later
})

t.test('a wait with a limit ends by itself', async (t) => {
  const signal = new Signal()
  const other = signal.wait()
  await signal.wait(1)
  await other
  const notified = signal.wait(60_000)
  signal.notify()
  await notified
  t.pass('its timer is gone too, or this process would not end')
})
