import t from 'tap'
import fc from 'fast-check'
import {
  ClientRates,
  type ClientRatesOptions,
  type RatedClient,
} from '../../../src/limits/admission/client-rates.js'
import { RateLimited } from '../../../src/limits/rate-limited.js'
import { FakeClock } from '../../support/fake-clock.js'

const address = '192.0.2.1'

function makeRates(given: Partial<ClientRatesOptions> = {}) {
  const clock = new FakeClock()
  const limited: string[] = []
  const rates = new ClientRates({
    ...{ perSecond: 2, burst: 3, max: 100, clock, limited: (by) => limited.push(by) },
    ...given,
  })
  /** Returns how many of these requests are allowed. */
  const allowed = (count: number, client: RatedClient = { address }): number => {
    let taken = 0
    for (let sent = 0; sent < count; sent++) {
      try {
        rates.take(client)
        taken++
      } catch (error) {
        if (!(error instanceof RateLimited)) throw error
      }
    }
    return taken
  }
  return { clock, rates, allowed, limited }
}

t.test('a client may send a burst, and then as many as its rate allows', async (t) => {
  const { clock, allowed } = makeRates()
  t.equal(allowed(10), 3)
  clock.advance(499)
  t.equal(allowed(10), 0)
  clock.advance(1)
  t.equal(allowed(10), 1)
  clock.advance(1000)
  t.equal(allowed(10), 2)
  clock.advance(1_000_000)
  t.equal(allowed(10), 3, 'a bucket is never fuller than full')
})

t.test('the error says when one request may be sent, and the event who was limited', async (t) => {
  const { clock, rates, allowed, limited } = makeRates({ perSecond: 0.5 })
  allowed(3)
  clock.advance(500)
  t.throws(() => rates.take({ address }), {
    message: 'this address has sent more than the 0.5 requests per second that are allowed',
    retryAfterMs: 1500,
  })
  clock.advance(1500)
  t.doesNotThrow(() => rates.take({ address }))
  allowed(4, { user: 'alice', address })
  t.same(limited, ['address', 'user'])
})

t.test('each user and each address is a client; an IPv6 client has 64 bits of them', async (t) => {
  const { allowed, rates } = makeRates()
  t.equal(allowed(10, { user: 'alice', address }), 3)
  t.equal(allowed(10, { user: 'alice', address: '192.0.2.2' }), 0, 'wherever a user is')
  t.equal(allowed(10, { user: 'bob', address }), 3)
  t.equal(allowed(10, { address }), 3)
  t.equal(allowed(10, { user: address, address: '192.0.2.3' }), 3, 'a name that looks like an address')
  t.equal(allowed(10, { address: '2001:db8::1' }), 3)
  t.equal(allowed(10, { address: '2001:db8::2' }), 0)
  t.equal(allowed(10, { address: '2001:db8:0:1::1' }), 3)
  t.equal(allowed(10, { address: '' }), 10, 'clients that cannot be told apart')
  t.equal(allowed(10, { user: 'carol', address: '' }), 3)
  t.equal(rates.size, 7)
})

t.test('an admitted client may finish what it has begun, up to one burst more', async (t) => {
  const { clock, allowed } = makeRates()
  t.equal(allowed(3), 3)
  t.equal(allowed(10, { address, isAdmitted: true }), 3)
  clock.advance(1500)
  t.equal(allowed(10), 0, 'what it has overdrawn is paid back first')
  clock.advance(500)
  t.equal(allowed(10), 1)
})

t.test('no more clients are remembered than allowed', async (t) => {
  const { rates, allowed } = makeRates({ max: 10 })
  for (let last = 0; last < 100; last++) {
    allowed(3, { address: `10.0.0.${last}` })
    allowed(1, { user: 'alice', address })
  }
  t.equal(rates.size, 10)
  t.equal(allowed(1, { user: 'alice', address }), 0, 'one that goes on sending is not forgotten')
})

t.test('in no span of time are more requests allowed than the burst and the rate', async (t) => {
  const step = fc.record({ ms: fc.nat(2000), requests: fc.nat(6) })
  fc.assert(
    fc.property(
      ...([fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 20 }), fc.array(step)] as const),
      (tenths, burst, steps) => {
        const perSecond = tenths / 10
        const { clock, allowed } = makeRates({ perSecond, burst })
        const taken: { at: number; count: number }[] = []
        for (const { ms, requests } of steps) {
          clock.advance(ms)
          taken.push({ at: clock.now(), count: allowed(requests) })
        }
        for (let from = 0; from < taken.length; from++) {
          let sum = 0
          for (const { at, count } of taken.slice(from)) {
            sum += count
            if (sum > burst + ((at - taken[from]!.at) / 1000) * perSecond + 0.001) return false
          }
        }
        return true
      },
    ),
  )
  t.pass()
})
