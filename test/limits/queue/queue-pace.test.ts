import t from 'tap'
import { QueuePace } from '../../../src/limits/queue/queue-pace.js'

/** A queue that has moved once every so many milliseconds, from 0 on. */
function moving(intervalMs: number, turns = 100): QueuePace {
  const turnover = new QueuePace()
  turnover.start(0)
  for (let turn = 1; turn <= turns; turn++) turnover.advance(turn * intervalMs)
  return turnover
}

t.test('the time is that of all turns before', (t) => {
  t.equal(moving(100).retryAfterSeconds(99, 10_000, 0), 10)
  t.equal(moving(100).retryAfterSeconds(99, 10_000, 0.5), 15)
  t.end()
})

t.test('from 1 to 60, whatever was measured', (t) => {
  t.equal(new QueuePace().retryAfterSeconds(0, 5, 0), 1)
  t.equal(moving(1).retryAfterSeconds(3, 100, 0.999), 2)
  t.equal(moving(1e6).retryAfterSeconds(1e6, 1e8, 0), 30)
  t.equal(moving(1e6).retryAfterSeconds(1e6, 1e8, 0.999), 60)
  t.end()
})

t.test('time in which nobody waits does not count', (t) => {
  const turnover = moving(100)
  turnover.start(1e9)
  turnover.advance(1e9 + 100)
  t.equal(turnover.retryAfterSeconds(99, 1e9 + 100, 0), 10)
  t.end()
})

t.test('a queue that has stopped shows before its next turn', (t) => {
  const turnover = moving(100)
  t.equal(turnover.retryAfterSeconds(99, 10_000 + 1700, 0), 20)
  const fresh = new QueuePace()
  fresh.start(0)
  t.equal(fresh.retryAfterSeconds(4, 3000, 0), 15)
  t.end()
})

t.test('it follows a change of pace', (t) => {
  const turnover = moving(100)
  for (let turn = 1; turn <= 100; turn++) turnover.advance(10_000 + turn * 10)
  t.equal(turnover.retryAfterSeconds(199, 11_000, 0), 2)
  t.end()
})
