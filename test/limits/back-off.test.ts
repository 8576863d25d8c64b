import t from 'tap'
import fc from 'fast-check'
import { BackOff } from '../../src/limits/back-off.js'
import { FakeClock } from '../support/fake-clock.js'

const baseMs = 500
const capMs = 60_000

function create(random = 0.999) {
  const clock = new FakeClock()
  return { clock, backOff: new BackOff({ baseMs, capMs, max: 3, clock, random: () => random }) }
}

t.test('a first failure does not block; further ones block for longer and longer, up to the cap', (t) => {
  const { clock, backOff } = create()
  const waits = Array.from({ length: 12 }, (_, count) => {
    backOff.failed('key', new Error(String(count)))
    const { retryAfterMs = 0, error } = backOff.blocked('key') ?? {}
    if (count > 0) t.match(error, { message: String(count) }, 'the last error is answered')
    clock.advance(Math.max(0, retryAfterMs - 1))
    if (count > 0) t.ok(backOff.blocked('key'), 'until the wait is over')
    clock.advance(1)
    t.notOk(backOff.blocked('key'), 'then every request may try')
    return Math.round(retryAfterMs / 0.999)
  })
  t.same(waits.slice(0, 5), [0, 500, 1000, 2000, 4000])
  t.same(waits.slice(-3), [capMs, capMs, capMs])
  t.end()
})

t.test('another state may be tried at once, and its failures are counted separately', (t) => {
  const { backOff } = create()
  for (let count = 0; count < 5; count++) backOff.failed('key', 'error', 'broken')
  t.ok(backOff.blocked('key', 'broken'))
  t.notOk(backOff.blocked('key', 'repaired'))
  backOff.failed('key', 'error', 'repaired')
  t.notOk(backOff.blocked('key', 'repaired'), 'the first failure in a state does not block')
  backOff.failed('key', 'error', 'repaired')
  t.ok(backOff.blocked('key', 'repaired'))
  t.end()
})

t.test('keys are blocked separately, and a success resets the count', (t) => {
  const { backOff } = create()
  for (let count = 0; count < 2; count++) backOff.failed('key', 'error')
  t.ok(backOff.blocked('key'))
  t.notOk(backOff.blocked('other'))
  backOff.succeeded('key')
  t.notOk(backOff.blocked('key'))
  backOff.failed('key', 'error')
  t.notOk(backOff.blocked('key'))
  t.end()
})

t.test('failures far apart do not add up', (t) => {
  const { clock, backOff } = create()
  for (let count = 0; count < 9; count++) backOff.failed('key', 'error')
  clock.advance(2 * capMs + 1)
  backOff.failed('key', 'error')
  t.notOk(backOff.blocked('key'))
  t.end()
})

t.test('a bounded number of keys is remembered', (t) => {
  const { backOff } = create()
  const keys = ['a', 'b', 'c', 'd']
  for (const key of keys) for (let count = 0; count < 2; count++) backOff.failed(key, 'error')
  t.same(
    keys.map((key) => backOff.blocked(key) !== undefined),
    [false, true, true, true],
  )
  t.end()
})

t.test('waits are spread over the whole permitted range', (t) => {
  const key = 'key'
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.integer({ min: 1, max: 40 }),
      (random, count) => {
        const { backOff } = create(random)
        for (let failure = 0; failure < count; failure++) backOff.failed(key, 'error')
        const bound = count === 1 ? 0 : Math.min(capMs, baseMs * 2 ** (count - 2))
        const { retryAfterMs = 0 } = backOff.blocked(key) ?? {}
        return Math.abs(retryAfterMs - random * bound) < 1e-6
      },
    ),
  )
  t.pass()
  t.end()
})

t.test('failures of other processes count, and block nothing', (t) => {
  const { clock, backOff } = create()
  backOff.failedElsewhere('key', 'one')
  backOff.failedElsewhere('key', 'two', '', 3)
  backOff.failedElsewhere('key', 'late news', '', 2)
  t.notOk(backOff.blocked('key'))
  t.equal(backOff.failuresOf('key')?.count, 3)
  backOff.failed('key', 'here')
  t.equal(backOff.failuresOf('key')?.count, 4)
  const { retryAfterMs = 0 } = backOff.blocked('key') ?? {}
  t.equal(Math.round(retryAfterMs / 0.999), 4 * baseMs)
  backOff.failedElsewhere('key', 'elsewhere')
  t.equal(backOff.blocked('key')?.retryAfterMs, retryAfterMs, 'what blocks here goes on')
  clock.advance(retryAfterMs)
  t.notOk(backOff.blocked('key'))
  t.end()
})

t.test('it is known that a key has failed in another state', (t) => {
  const { backOff } = create()
  t.equal(backOff.hasFailedOtherwise('key', 'one'), false)
  backOff.failedElsewhere('key', 'error', 'one')
  t.equal(backOff.hasFailedOtherwise('key', 'one'), false)
  t.equal(backOff.hasFailedOtherwise('key', 'two'), true)
  backOff.succeeded('key')
  t.equal(backOff.hasFailedOtherwise('key', 'two'), false)
  t.end()
})
