import t from 'tap'
import { RecentFailures } from '../../src/status/recent-failures.js'

t.test('equal failures are counted, and the last ones are kept', async (t) => {
  let now = 0
  const failures = new RecentFailures(2, () => ++now)
  failures.add('fill', 'a', new Error('fatal: bad object'))
  failures.add('shed', 'b', new Error('queue full'))
  failures.add('fill', 'a', new Error('fatal: bad object'))
  t.same(failures.list(), [
    { event: 'fill', subject: 'a', message: 'fatal: bad object', count: 2, firstAt: 1, lastAt: 3 },
    { event: 'shed', subject: 'b', message: 'queue full', count: 1, firstAt: 2, lastAt: 2 },
  ])
  failures.add('request', '', 'odd')
  t.same(
    failures.list().map(({ event }) => event),
    ['request', 'fill'],
    'a storm of one kind does not push out the others, but an older one goes',
  )
})

t.test('a message is one line of printable characters', async (t) => {
  const failures = new RecentFailures(2)
  failures.add('fill', 'a', new Error(`error: one\nfatal: \u001b[31mtwo\n${'x'.repeat(9999)}`))
  const { message } = failures.list()[0]!
  t.match(message, /^error: one; fatal: \[31mtwo; x+$/)
  t.equal(message.length, 500)
})
