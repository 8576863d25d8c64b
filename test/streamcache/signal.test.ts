import t from 'tap'
import { Signal } from '../../src/streamcache/signal.js'
import { pending } from '../support/producers.js'

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
