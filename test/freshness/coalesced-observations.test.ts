import t from 'tap'
import { CoalescedObservations } from '../../src/freshness/coalesced-observations.js'
import { turns } from '../support/producers.js'

/** Looks whose end is in the test's hand, in the order in which they began. */
class ManualLooks {
  readonly began: { path: string; end: (sight: string) => void; fail: (error: Error) => void }[] = []
  readonly looks = new CoalescedObservations<string>((path) => {
    return new Promise((end, fail) => this.began.push({ path, end, fail }))
  })
}

t.test('all who ask together share one look', async (t) => {
  const { looks, began } = new ManualLooks()
  const asked = Array.from({ length: 100 }, () => looks.observe('path'))
  t.equal(began.length, 0, 'it begins after they have asked')
  await turns(2)
  t.equal(began.length, 1)
  began[0]!.end('sight')
  t.same(new Set(await Promise.all(asked)), new Set(['sight']))
})

t.test('who asks while a look is under way gets the next one, which begins when that ends', async (t) => {
  const { looks, began } = new ManualLooks()
  const first = looks.observe('path')
  await turns(2)
  const late = [looks.observe('path')]
  await turns(5)
  late.push(looks.observe('path'))
  t.equal(began.length, 1, 'one look at a time')
  began[0]!.end('before')
  t.equal(await first, 'before')
  await turns(2)
  t.equal(began.length, 2)
  const latest = looks.observe('path')
  began[1]!.end('after')
  t.same(await Promise.all(late), ['after', 'after'])
  await turns(2)
  began[2]!.end('last')
  t.equal(await latest, 'last')
  t.equal(began.length, 3)
})

t.test('a look that fails fails those who share it, and nobody else', async (t) => {
  const { looks, began } = new ManualLooks()
  const first = [looks.observe('path'), looks.observe('path')]
  await turns(2)
  const next = looks.observe('path')
  began[0]!.fail(new Error('cannot look'))
  for (const each of first) await t.rejects(each, /cannot look/)
  await turns(2)
  began[1]!.end('fine')
  t.equal(await next, 'fine')

  const thrower = new CoalescedObservations<string>(() => {
    throw new Error('at once')
  })
  for (let count = 0; count < 2; count++) await t.rejects(thrower.observe('path'), /at once/)
})

t.test('paths wait for their own looks only', async (t) => {
  const { looks, began } = new ManualLooks()
  void looks.observe('a')
  await turns(2)
  const other = looks.observe('b')
  await turns(2)
  t.same(
    began.map(({ path }) => path),
    ['a', 'b'],
  )
  began[1]!.end('b')
  t.equal(await other, 'b')
})
