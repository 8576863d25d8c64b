import t from 'tap'
import { checkClock, readDate } from '../../../src/cli/doctor/clock.js'

const now = Date.parse('2026-11-29T12:00:00Z')
const at = (seconds: number, of = 'b:443') =>
  readDate(of, new Date(now + seconds * 1000).toUTCString(), now - 3000, now)

t.test('a clock that agrees, allowing for whole seconds and for the time of the request', async (t) => {
  for (const seconds of [-13, -3, 0, 10])
    t.same(checkClock([at(seconds)]), [{ line: 'clock: within 10 s of that of b:443', wrong: false }])
  t.match(checkClock([at(0), undefined, at(0, 'c')]), [{ line: /that of b:443, c$/ }])
})

t.test('a clock that differs', async (t) => {
  t.match(checkClock([at(0), at(61)]), [
    { line: /^clock: this machine's is 61 s behind that of b:443: .*NTP/, wrong: false, isWarning: true },
  ])
  t.match(checkClock([at(-64, 'x'), at(30)]), [{ line: /60 s ahead of that of x:/ }, { line: /30 s behind/ }])
})

t.test('nothing to compare with', async (t) => {
  t.equal(readDate('x', undefined, now), undefined)
  t.equal(readDate('x', 'yesterday', now), undefined)
  t.same(checkClock([undefined]), [])
})
