import t from 'tap'
import { CoalescedObservations } from '../../src/freshness/coalesced-observations.js'
import { turns } from '../support/producers.js'

/** Observations that the test ends, in the order in which they began. */
class ManualObservations {
  readonly began: { path: string; end: (state: string) => void; fail: (error: Error) => void }[] = []
  readonly observations = new CoalescedObservations<string>((path) => {
    return new Promise((end, fail) => this.began.push({ path, end, fail }))
  })
}

t.test('requests that come together share one observation', async (t) => {
  const { observations, began } = new ManualObservations()
  const asked = Array.from({ length: 100 }, () => observations.observe('path'))
  t.equal(began.length, 0, 'it begins after all of them')
  await turns(2)
  t.equal(began.length, 1)
  began[0]!.end('state')
  t.same(new Set(await Promise.all(asked)), new Set(['state']))
})

t.test('a request during an observation shares the next one, which begins when that ends', async (t) => {
  const { observations, began } = new ManualObservations()
  const first = observations.observe('path')
  await turns(2)
  const late = [observations.observe('path')]
  await turns(5)
  late.push(observations.observe('path'))
  t.equal(began.length, 1, 'one observation at a time')
  began[0]!.end('before')
  t.equal(await first, 'before')
  await turns(2)
  t.equal(began.length, 2)
  const latest = observations.observe('path')
  began[1]!.end('after')
  t.same(await Promise.all(late), ['after', 'after'])
  await turns(2)
  began[2]!.end('last')
  t.equal(await latest, 'last')
  t.equal(began.length, 3)
})

t.test('an observation that fails rejects those that share it, and no others', async (t) => {
  const { observations, began } = new ManualObservations()
  const first = [observations.observe('path'), observations.observe('path')]
  await turns(2)
  const next = observations.observe('path')
  began[0]!.fail(new Error('cannot observe'))
  for (const each of first) await t.rejects(each, /cannot observe/)
  await turns(2)
  began[1]!.end('fine')
  t.equal(await next, 'fine')

  const thrower = new CoalescedObservations<string>(() => {
    throw new Error('at once')
  })
  for (let count = 0; count < 2; count++) await t.rejects(thrower.observe('path'), /at once/)
})

t.test('paths are observed independently', async (t) => {
  const { observations, began } = new ManualObservations()
  void observations.observe('a')
  await turns(2)
  const other = observations.observe('b')
  await turns(2)
  t.same(
    began.map(({ path }) => path),
    ['a', 'b'],
  )
  began[1]!.end('b')
  t.equal(await other, 'b')
})
