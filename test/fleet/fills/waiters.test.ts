import t from 'tap'
import { Waiters } from '../../../src/fleet/fills/waiters.js'
import type { Hint } from '../../../src/fleet/engine.js'
import { VirtualClock } from '../../support/fleet/virtual-clock.js'

function rig() {
  const clock = new VirtualClock()
  let tell: (hint: Hint) => void = () => {}
  const engine = {
    watch: (listener: (hint: Hint) => void) => {
      tell = listener
      return () => void (tell = () => {})
    },
  }
  const waiters = new Waiters(engine, clock)
  const { signal, abort } = new (class {
    #controller = new AbortController()
    signal = this.#controller.signal
    abort = () => this.#controller.abort(new Error('enough'))
  })()
  const key = { repository: 'r', key: 'k' }
  return { clock, waiters, signal, abort, key, tell: (hint: Hint) => tell(hint) }
}

t.test('a hint about the key wakes; others do not; time does', async (t) => {
  const { clock, waiters, signal, key, tell } = rig()
  const waiter = waiters.listen(key)
  const began = clock.now()
  clock.after(100, () => {
    tell({ kind: 'key', repository: 'r', key: 'other' })
    tell({ kind: 'epoch', repository: 'r' })
  })
  clock.after(300, () => tell({ kind: 'key', ...key }))
  await clock.until(waiter.next(1000, signal))
  t.equal(clock.now() - began, 300)
  await clock.until(waiter.next(1000, signal))
  t.equal(clock.now() - began, 1300)
  t.equal(clock.timers, 0)
  waiter.close()
  t.equal(waiters.size, 0)
})

t.test('a hint that comes between two waits is not lost', async (t) => {
  const { clock, waiters, signal, key, tell } = rig()
  const [first, second] = [waiters.listen(key), waiters.listen(key)]
  tell({ kind: 'key', ...key })
  const began = clock.now()
  await clock.until(first.next(1000, signal))
  await clock.until(second.next(1000, signal))
  t.equal(clock.now(), began)
  first.close()
  t.equal(waiters.size, 1)
  second.close()
  t.equal(waiters.size, 0)
})

t.test('an abort ends a wait', async (t) => {
  const { clock, waiters, signal, abort, key } = rig()
  const waiter = waiters.listen(key)
  clock.after(10, abort)
  await t.rejects(clock.until(waiter.next(1000, signal)), /enough/)
  await t.rejects(waiter.next(1000, signal), /enough/)
  t.equal(clock.timers, 0)
  waiter.close()
  waiters.close()
})
