import t from 'tap'
import { Overloaded } from '../../../src/limits/overloaded.js'
import { TimedQueue, type TimedQueueOptions } from '../../../src/limits/queue/timed-queue.js'
import { FakeClock } from '../../support/fake-clock.js'

function create(options: Partial<TimedQueueOptions> = {}) {
  const clock = new FakeClock()
  const queue = new TimedQueue({
    perGroup: 10,
    queueMax: 10,
    waitMs: 1000,
    clock,
    random: () => 0,
    ...options,
  })
  const events: string[] = []
  const add = (group: string, admitted = false): (() => boolean) =>
    queue.enqueue(
      { group, admitted },
      (waitedMs) => events.push(`${group} granted after ${waitedMs}`),
      ({ reason }) => events.push(`${group} expired: ${reason}`),
    )
  return { clock, queue, events, add }
}

t.test('a request is granted, expires or leaves; only the first of these happens', async (t) => {
  const { clock, queue, events, add } = create()
  const leave = ['granted', 'expired', 'left'].map((group) => add(group))
  clock.advance(10)
  queue.grantNext()
  t.ok(leave[2]!(), 'it was still there')
  clock.advance(990)
  t.same(events, ['granted granted after 10', 'expired expired: wait'])
  t.same(
    leave.map((call) => call()),
    [false, false, false],
  )
  queue.grantNext()
  t.same([queue.running, queue.waiting, events.length], [1, 0, 2])
})

t.test('admitted requests wait four times as long, and all share one timer', async (t) => {
  const { clock, queue, events, add } = create()
  for (const admitted of [false, true, false, true]) {
    add(admitted ? 'admitted' : 'ordinary', admitted)
    clock.advance(1)
  }
  t.equal(clock.timers, 1)
  clock.advance(1002)
  t.same(events, Array(2).fill('ordinary expired: wait'))
  clock.advance(2995)
  t.equal(queue.waiting, 1, 'the first of the admitted has expired')
  clock.advance(10)
  t.same([queue.waiting, clock.timers], [0, 0])
})

t.test('admitted requests that are kept wait without a place and without a time limit', async (t) => {
  const { clock, queue, events, add } = create({ queueMax: 1, keepAdmitted: true })
  const leaves = Array.from({ length: 6 }, () => add('admitted', true))
  t.equal(clock.timers, 0)
  t.ok(queue.rejection({ group: 'b', admitted: true }), 'rejection() tells that there is no place')
  const kept = queue.wait({ group: 'b', admitted: true }, () => 'granted')
  add('ordinary')
  t.equal(clock.timers, 1)
  clock.advance(1000)
  t.same([events.length, clock.timers], [1, 0], 'the other request has expired')
  clock.advance(1e9)
  t.equal(queue.waiting, 7)
  for (const leave of leaves) t.ok(leave())
  queue.grantNext()
  t.equal(await kept, 'granted')
  t.same(events, ['ordinary expired: wait'])
})

t.test('without waiters there is no timer', async (t) => {
  const { clock, queue, add } = create()
  t.equal(clock.timers, 0)
  const leave = add('a')
  leave()
  t.equal(clock.timers, 0)
  add('a')
  queue.grantNext()
  t.equal(clock.timers, 0)
})

t.test('wait() resolves with what `granted` returns, at the moment of the grant', async (t) => {
  const { clock, queue } = create()
  let grantedAt = 0
  const waiting = queue.wait({ group: 'a' }, (waitedMs) => {
    grantedAt = clock.now()
    return waitedMs
  })
  clock.advance(7)
  queue.grantNext()
  t.equal(grantedAt, clock.now())
  t.equal(await waiting, 7)
})

t.test(
  'wait() rejects when the queue is full, when the time limit passes, and when the signal aborts',
  async (t) => {
    const { clock, queue } = create({ queueMax: 1 })
    const abort = new AbortController()
    const aborted = queue.wait({ group: 'a', signal: abort.signal }, () => t.fail('granted'))
    const full = queue.rejection({ group: 'b' })
    t.ok(full instanceof Overloaded && full.reason === 'queue-full')
    await t.rejects(
      queue.wait({ group: 'b' }, () => {}),
      { name: 'Overloaded', reason: 'queue-full', retryAfterSeconds: 1 },
    )
    abort.abort(new Error('gone'))
    await t.rejects(aborted, { message: 'gone' })
    t.equal(queue.rejection({ group: 'b' }), undefined, 'its place is free')
    const late = queue.wait({ group: 'b' }, () => t.fail('granted'))
    clock.advance(1000)
    await t.rejects(late, { name: 'Overloaded', reason: 'wait' })
  },
)
