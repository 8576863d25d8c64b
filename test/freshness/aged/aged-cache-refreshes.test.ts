import t from 'tap'
import { OwedRefreshes } from '../../../src/freshness/aged/owed-refreshes.js'
import { answered, bodyOf, fill, openAged, Refused, textOf } from '../../support/aged-rig.js'
import { FakeClock } from '../../support/fake-clock.js'
import { turns } from '../../support/producers.js'

const second = 1000
const away = new Error('the upstream is away')

t.test(
  'an owed refresh confirms an entry before it expires, once for each time that it is owed',
  async (t) => {
    const rig = await openAged(t)
    const bounded = { maxAgeMs: 100 * second }
    await fill(rig, 'one', bounded)
    rig.clock.advance(10 * second)
    await textOf(rig.aged.read(rig.request(bounded)))
    rig.clock.advance(79 * second)
    t.equal(rig.asked.length, 1)
    // The random number is 0.5, so it is due at 0.9 of the age.
    rig.clock.advance(1 * second)
    ;(await rig.question(2)).answer('unchanged')
    await turns()
    await answered(t, rig.aged.read(rig.request(bounded)), { reuse: 'hit', ageMs: 0 })
    rig.clock.advance(90 * second)
    ;(await rig.question(3)).answer(bodyOf('two'))
    await turns()
    await rig.fills[1]!.ended
    await turns()
    rig.clock.advance(1000 * second)
    await turns()
    t.equal(rig.asked.length, 3, 'no client was answered since')
    const causes = rig.calls.map((call) => call.split(' ')[0])
    t.same(causes, ['client', 'client', 'client', 'refresh', 'client', 'refresh'])
  },
)

t.test('a refresh that fails is not repeated; one that is refused forgets the entry', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 100 * second }
  await fill(rig, 'one', bounded)
  await textOf(rig.aged.read(rig.request(bounded)))
  rig.clock.advance(90 * second)
  ;(await rig.question(2)).fail(away)
  await turns()
  await answered(t, rig.aged.read(rig.request(bounded)), { reuse: 'hit' })
  rig.clock.advance(500 * second)
  await turns()
  t.equal(rig.asked.length, 2)
  rig.leases.invalidate('/r')
  rig.clock.advance(2 * second)
  ;(await rig.question(3)).fail(new Refused('401'))
  await turns()
  t.equal(rig.cache.get('k'), undefined)
  t.equal(rig.clock.timers, 0)
})

t.test('a change has owed refreshes run soon, and only these', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 100 * second }
  for (const key of ['a', 'b', 'c']) {
    await fill(rig, key, { ...bounded, key, subject: key === 'c' ? '/s' : '/r' })
  }
  for (const key of ['a', 'c']) {
    const subject = key === 'c' ? '/s' : '/r'
    await textOf(rig.aged.read(rig.request({ ...bounded, key, subject })))
  }
  rig.leases.invalidate('/r')
  rig.clock.advance(second)
  const asked = await rig.question(4)
  t.equal(asked.kept?.key, 'a')
  asked.answer('unchanged')
  await turns()
  rig.clock.advance(2 * second)
  await turns()
  t.equal(rig.asked.length, 4)
  await answered(t, rig.aged.read(rig.request({ ...bounded, key: 'a' })), { reuse: 'hit' })
})

t.test(
  'a client’s own question takes the debt away; a refresh gives way to it, and to a lease',
  async (t) => {
    const rig = await openAged(t)
    const bounded = { maxAgeMs: 100 * second }
    await fill(rig, 'one', bounded)
    await textOf(rig.aged.read(rig.request(bounded)))
    rig.clock.advance(second)
    const exact = rig.aged.read(rig.request())
    const asked = await rig.question(2)
    await textOf(rig.aged.read(rig.request(bounded)))
    rig.clock.advance(89 * second)
    await turns()
    asked.fail(away)
    await t.rejects(Promise.resolve(exact), away)
    t.equal(rig.asked.length, 2, 'the refresh did not wait for the question')
    const lease = rig.leases.open('/r', 60 * second)
    rig.aged.changed('/r')
    rig.clock.advance(2 * second)
    await turns()
    t.equal(rig.asked.length, 2, 'none runs under a lease')
    rig.leases.end(lease.id, 'changed')
    rig.clock.advance(2 * second)
    ;(await rig.question(3)).answer('unchanged')
    await turns()
    rig.clock.advance(90 * second)
    await turns()
    t.equal(rig.asked.length, 3)
  },
)

t.test(
  'a request that is too large to be kept pays for no refresh; another one of its key does',
  async (t) => {
    const rig = await openAged(t)
    const bounded = { maxAgeMs: 100 * second }
    await fill(rig, 'one', bounded)
    await textOf(rig.aged.read(rig.request({ ...bounded, isLarge: true })))
    rig.clock.advance(99 * second)
    await turns()
    t.equal(rig.asked.length, 1)
    await fill(rig, 'two', { ...bounded, maxAgeMs: 10 * second })
    await textOf(rig.aged.read(rig.request(bounded)))
    await textOf(rig.aged.read(rig.request({ ...bounded, isLarge: true })))
    rig.clock.advance(10 * second)
    ;(await rig.question(3)).answer('unchanged')
    await turns()
  },
)

t.test('of more keys than are planned, the requests that were to pay are not kept', async (t) => {
  const clock = new FakeClock()
  const dropped: string[] = []
  const refreshes = new OwedRefreshes({
    ...{ clock, random: () => 0, refresh: () => undefined },
    dropped: (key) => dropped.push(key),
  })
  for (let count = 0; count < 10_002; count++) refreshes.plan(`${count}`, '/r', 0, second)
  t.same(dropped, ['0', '1'])
  t.same([refreshes.has('0'), refreshes.has('2')], [false, true])
  refreshes.plan('2', '/r', 0, second)
  refreshes.cancel('3')
  t.equal(dropped.length, 2, 'what is planned anew, or cancelled, was not dropped')
  t.equal(clock.timers, 9999)
  refreshes.close()
  t.equal(clock.timers, 0)
})

t.test('clients join a refresh, and are answered when it is withdrawn', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 100 * second }
  await fill(rig, 'one', bounded)
  const hit = (): Promise<string> => textOf(rig.aged.read(rig.request(bounded)))
  await hit()
  rig.clock.advance(90 * second)
  const asked = await rig.question(2)
  rig.clock.advance(15 * second)
  const joined = rig.aged.read(rig.request(bounded))
  rig.aged.close()
  t.notOk(asked.signal.aborted)
  asked.answer('unchanged')
  t.match(await joined, { reuse: 'revalidated', ageMs: 15 * second })
  await textOf(joined)
  await hit()
  t.equal(rig.clock.timers, 0, 'nothing is planned after the end')
})

t.test('a refresh without a client is aborted at the end', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 100 * second }
  await fill(rig, 'one', bounded)
  await textOf(rig.aged.read(rig.request(bounded)))
  rig.clock.advance(90 * second)
  const asked = await rig.question(2)
  rig.aged.close()
  t.ok(asked.signal.aborted)
  await turns()
  t.ok(rig.cache.get('k'), 'that is no refusal')
})
