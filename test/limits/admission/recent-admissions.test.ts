import t from 'tap'
import { RecentAdmissions } from '../../../src/limits/admission/recent-admissions.js'
import { FakeClock } from '../../support/fake-clock.js'

t.test('an admission holds for one client and one group, and expires', (t) => {
  const clock = new FakeClock()
  const admissions = new RecentAdmissions({ forMs: 1000, max: 10, clock })
  admissions.add('client', 'group')
  t.ok(admissions.has('client', 'group'))
  t.notOk(admissions.has('client', 'other'))
  t.notOk(admissions.has('other', 'group'))
  t.notOk(admissions.has('clientgroup', ''))
  clock.advance(1001)
  t.notOk(admissions.has('client', 'group'))
  t.end()
})

t.test('each request renews the admission', (t) => {
  const clock = new FakeClock()
  const admissions = new RecentAdmissions({ forMs: 1000, max: 10, clock })
  admissions.add('client', 'group')
  for (let count = 0; count < 5; count++) {
    clock.advance(900)
    t.ok(admissions.has('client', 'group'))
  }
  t.end()
})

t.test('the least recently used are forgotten first', (t) => {
  const admissions = new RecentAdmissions({ forMs: 1000, max: 2, clock: new FakeClock() })
  admissions.add('a', 'group')
  admissions.add('b', 'group')
  admissions.has('a', 'group')
  admissions.add('c', 'group')
  t.same(
    ['a', 'b', 'c'].map((client) => admissions.has(client, 'group')),
    [true, false, true],
  )
  t.end()
})
