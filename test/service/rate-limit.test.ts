import t from 'tap'
import { AuthorizerUnavailable, Forbidden, Unauthenticated } from '../../src/access/errors.js'
import { ClientRates } from '../../src/limits/admission/client-rates.js'
import { withinRate } from '../../src/service/rate-limit.js'

const address = '192.0.2.1'
const anonymous = { address, hasCredentials: false }
const named = { address, hasCredentials: true }
const makeRates = () => new ClientRates({ perSecond: 1, burst: 1, max: 10 })

/** Returns how each of these requests ends, and how often access was checked. */
async function outcomes(requests: (readonly [typeof named, user: string | Error | undefined])[]) {
  const rates = makeRates()
  const all: string[] = []
  for (const [request, user] of requests) {
    const check = async () => {
      if (user instanceof Error) throw user
      return { user }
    }
    const name = ({ name }: Error): string => name
    all.push(await withinRate(rates, request, check).then(() => 'allowed', name))
  }
  return all
}

t.test('a request counts for its user, or else for its address', async (t) => {
  const users = ['alice', 'alice', 'bob', undefined, undefined]
  t.same(await outcomes(users.map((user) => [named, user] as const)), [
    'allowed',
    'RateLimited',
    'allowed',
    'allowed',
    'RateLimited',
  ])
})

t.test('the 401 that asks for credentials takes no token', async (t) => {
  const challenge = new Unauthenticated(['Basic'])
  t.same(
    await outcomes([
      ...[[anonymous, challenge] as const, [anonymous, challenge] as const],
      [anonymous, undefined],
    ]),
    ['Unauthenticated', 'Unauthenticated', 'allowed'],
  )
})

t.test('a refusal counts for the address', async (t) => {
  for (const [request, refusal] of [
    [named, new Unauthenticated(['Basic'], true)],
    [anonymous, new Forbidden()],
  ] as const) {
    t.same(
      await outcomes([
        ...[[request, refusal] as const, [request, refusal] as const],
        [anonymous, undefined],
        [named, 'alice'],
      ]),
      [refusal.name, 'RateLimited', 'RateLimited', 'allowed'],
      refusal.name,
    )
  }
})

t.test('what is not the client’s fault does not count', async (t) => {
  const away = new AuthorizerUnavailable('it does not answer')
  t.same(
    await outcomes([
      [named, away],
      [anonymous, undefined],
    ]),
    [away.name, 'allowed'],
  )
})
