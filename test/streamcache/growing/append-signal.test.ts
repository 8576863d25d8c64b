import t from 'tap'
import { AppendSignal } from '../../../src/streamcache/growing/append-signal.js'
import { blockSize } from '../../../src/streamcache/memory/blocks.js'
import { pending } from '../../support/producers.js'
import { simulateTimers } from '../../support/simulated-timers.js'

t.test('the first bytes wake followers at once', async (t) => {
  const signal = new AppendSignal()
  const waiting = signal.wait()
  signal.grown(0, 1)
  t.notOk(await pending(waiting))
})

t.test('later bytes wake them once per block, or after 10 ms', async (t) => {
  const timers = simulateTimers(t)
  const signal = new AppendSignal()
  const small = signal.wait()
  signal.grown(1, 2)
  signal.grown(2, 3)
  t.equal(timers.armed, 1, 'one timer for all')
  timers.pass(9)
  t.ok(await pending(small))
  timers.pass(1)
  t.notOk(await pending(small))

  const block = signal.wait()
  signal.grown(3, blockSize - 1)
  t.ok(await pending(block))
  signal.grown(blockSize - 1, blockSize)
  t.notOk(await pending(block))
  t.equal(timers.armed, 0, 'the timer is cancelled')
  timers.restore()
})

t.test('notify() wakes them now', async (t) => {
  const timers = simulateTimers(t)
  const signal = new AppendSignal()
  const waiting = signal.wait()
  signal.grown(1, 2)
  signal.notify()
  t.notOk(await pending(waiting))
  t.equal(timers.armed, 0)
  timers.restore()
})
