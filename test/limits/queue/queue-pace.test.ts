import t from 'tap'
import { QueuePace } from '../../../src/limits/queue/queue-pace.js'

/** A queue that has advanced once per interval, from 0 on. */
function moving(intervalMs: number, counts = 100): QueuePace {
  const pace = new QueuePace()
  pace.start(0)
  for (let count = 1; count <= counts; count++) pace.advance(count * intervalMs)
  return pace
}

t.test('the estimate is the time for all waiters before', (t) => {
  t.equal(moving(100).retryAfterSeconds(99, 10_000, 0), 10)
  t.equal(moving(100).retryAfterSeconds(99, 10_000, 0.5), 15)
  t.end()
})

t.test('the estimate is from 1 to 60 seconds, whatever was measured', (t) => {
  t.equal(new QueuePace().retryAfterSeconds(0, 5, 0), 1)
  t.equal(moving(1).retryAfterSeconds(3, 100, 0.999), 2)
  t.equal(moving(1e6).retryAfterSeconds(1e6, 1e8, 0), 30)
  t.equal(moving(1e6).retryAfterSeconds(1e6, 1e8, 0.999), 60)
  t.end()
})

t.test('time in which the queue is empty does not count', (t) => {
  const pace = moving(100)
  pace.start(1e9)
  pace.advance(1e9 + 100)
  t.equal(pace.retryAfterSeconds(99, 1e9 + 100, 0), 10)
  t.end()
})

t.test('a queue that has stopped is noticed before it advances again', (t) => {
  const pace = moving(100)
  t.equal(pace.retryAfterSeconds(99, 10_000 + 1700, 0), 20)
  const fresh = new QueuePace()
  fresh.start(0)
  t.equal(fresh.retryAfterSeconds(4, 3000, 0), 15)
  t.end()
})

t.test('the average follows a change of pace', (t) => {
  const pace = moving(100)
  for (let count = 1; count <= 100; count++) pace.advance(10_000 + count * 10)
  t.equal(pace.retryAfterSeconds(199, 11_000, 0), 2)
  t.end()
})
