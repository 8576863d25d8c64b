import t from 'tap'
import fc from 'fast-check'
import { CircuitBreaker, type Attempt } from '../../src/limits/circuit-breaker.js'
import { FakeClock } from '../support/fake-clock.js'

const limits = { failures: 5, baseMs: 1000, capMs: 60_000, retryAfterMaxMs: 300_000, probeMs: 10_000 }

function create(random: () => number = () => 0) {
  const clock = new FakeClock()
  const events: string[] = []
  const changed = (isOpen: boolean) => events.push(isOpen ? 'opened' : 'closed')
  const breaker = new CircuitBreaker({ ...limits, clock, random, changed })
  const fail = (times = 1) => {
    for (let count = 0; count < times; count++) breaker.begin().failed(`error ${count}`)
  }
  return { breaker, clock, events, fail }
}

t.test('it opens after failures in a row, and tells the last one', (t) => {
  const { breaker, events, fail } = create()
  fail(4)
  breaker.begin().succeeded()
  fail(4)
  breaker.begin().abandoned()
  t.notOk(breaker.blocked(), 'a success ends the row')
  fail()
  t.same(breaker.blocked(), { error: 'error 0', retryAfterMs: 500 })
  t.ok(breaker.isOpen)
  t.same(events, ['opened'])
  t.end()
})

t.test('one probe is let through after the wait, and closes it or opens it for longer', (t) => {
  const { breaker, clock, events, fail } = create()
  fail(5)
  const waits = Array.from({ length: 9 }, () => {
    const { retryAfterMs } = breaker.blocked()!
    clock.advance(retryAfterMs - 1)
    t.ok(breaker.blocked())
    clock.advance(1)
    t.notOk(breaker.blocked())
    const probe = breaker.begin()
    t.match(breaker.blocked(), { retryAfterMs: 1000 }, 'no second probe')
    probe.failed('again')
    return retryAfterMs
  })
  t.same(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  clock.advance(30_000)
  breaker.begin().succeeded()
  t.notOk(breaker.blocked())
  t.same(events, ['opened', 'closed'])
  fail(4)
  t.notOk(breaker.blocked(), 'it counts anew')
  fail()
  t.equal(breaker.blocked()?.retryAfterMs, 500, 'and waits anew')
  t.end()
})

t.test('it opens at once for as long as the other side asks, up to a limit', (t) => {
  for (const [asked, random, expected] of [
    [7000, 0, 7000],
    [7000, 0.5, 7350],
    [86_400_000, 0, 300_000],
    [0, 0, 500],
  ] as const) {
    const { breaker } = create(() => random)
    breaker.begin().failed('busy', asked)
    t.same(breaker.blocked(), { error: 'busy', retryAfterMs: expected })
  }
  t.end()
})

t.test('an attempt that began before it opened changes nothing, but for a wait that was asked for', (t) => {
  const { breaker, clock, events, fail } = create()
  const [good, bad, asking] = [breaker.begin(), breaker.begin(), breaker.begin()]
  fail(5)
  good.succeeded()
  bad.failed('late')
  t.same(breaker.blocked(), { error: 'error 4', retryAfterMs: 500 })
  asking.failed('busy', 9000)
  asking.failed('busy', 90_000)
  t.same(breaker.blocked(), { error: 'busy', retryAfterMs: 9000 })
  clock.advance(9000)
  breaker.begin().succeeded()
  t.same(events, ['opened', 'closed'])
  t.end()
})

t.test(
  'a probe whose outcome is not reported is given up, and one that tells nothing is replaced at once',
  (t) => {
    const { breaker, clock, fail } = create()
    fail(5)
    clock.advance(500)
    const lost = breaker.begin()
    clock.advance(9999)
    t.ok(breaker.blocked())
    clock.advance(1)
    t.notOk(breaker.blocked())
    const probe = breaker.begin()
    lost.succeeded()
    t.ok(breaker.blocked(), 'the lost one does not count')
    probe.abandoned()
    t.notOk(breaker.blocked())
    breaker.begin().succeeded()
    t.notOk(breaker.isOpen)
    t.end()
  },
)

t.test('an attempt reports once', (t) => {
  const { breaker, fail } = create()
  const attempt = breaker.begin()
  for (let count = 0; count < 9; count++) attempt.failed('again')
  t.notOk(breaker.isOpen)
  fail(3)
  t.notOk(breaker.isOpen)
  t.end()
})

t.test('at most one probe runs at any time, and the breaker never stays open for ever', (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('begin' as const) }),
    fc.record({
      kind: fc.constantFrom('succeeded' as const, 'failed' as const, 'asked' as const, 'abandoned' as const),
      index: fc.nat(20),
    }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
  )
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (steps, random) => {
        const { breaker, clock } = create(() => random)
        const running: { attempt: Attempt; probeUntil: number | undefined }[] = []
        for (const each of steps) {
          if (each.kind === 'wait') clock.advance(each.ms)
          else if (each.kind === 'begin') {
            if (breaker.blocked()) continue
            const isProbe = breaker.isOpen
            const alive = running.filter(
              ({ probeUntil }) => probeUntil !== undefined && clock.now() < probeUntil,
            )
            if (isProbe && alive.length > 0) return false
            running.push({
              attempt: breaker.begin(),
              probeUntil: isProbe ? clock.now() + limits.probeMs : undefined,
            })
          } else {
            const [found] = running.splice(each.index, 1)
            if (each.kind === 'asked') found?.attempt.failed('asked', 40_000)
            else if (each.kind === 'failed') found?.attempt.failed('failed')
            else found?.attempt[each.kind]()
            // A probe that closed the breaker makes the others attempts of the past.
            if (!breaker.isOpen) for (const other of running) other.probeUntil = undefined
          }
        }
        const blocked = breaker.blocked()
        clock.advance(Math.max(limits.probeMs, blocked?.retryAfterMs ?? 0))
        return breaker.blocked() === undefined
      },
    ),
  )
  t.pass()
  t.end()
})
