import t from 'tap'
import { CommittedEntries, type CommittedLimits } from '../../src/streamcache/committed-entries.js'
import { Entry } from '../../src/streamcache/entry.js'
import { GrowingFile } from '../../src/streamcache/growing/growing-file.js'
import { HotTier } from '../../src/streamcache/memory/hot-tier.js'

const newEntry = (key: string, token: string): Entry =>
  new Entry(key, token, new GrowingFile({ hot: new HotTier(0), maxLeadBytes: 1 }))

/** An index without limits, unless the test sets some, and what has left it. */
function create(limits: Partial<CommittedLimits> = {}) {
  const dropped: string[] = []
  const index = new CommittedEntries(
    { maxBytes: 1e6, maxEntries: 100, maxAgeMs: 1e6, ...limits },
    ({ key }, reason) => dropped.push(`${key} ${reason}`),
  )
  const put = (key: string, size = 10, token = 'token'): Entry => {
    const entry = newEntry(key, token)
    index.set(entry, size, Date.now())
    return entry
  }
  return { index, dropped, put }
}

t.test('the newest entry of a key replaces the older one', async (t) => {
  const { index, dropped, put } = create()
  put('a', 10, 'one')
  const newest = put('a', 20, 'two')
  t.equal(index.get('a'), newest)
  t.same([index.count, index.bytes, dropped], [1, 20, ['a superseded']])
  t.same([index.has('a', 'one'), index.has('a', 'two'), index.has('b', 'two')], [false, true, false])
})

t.test('the least recently used entries are evicted, with the limit as the reason', async (t) => {
  const few = create({ maxEntries: 3 })
  for (const key of ['a', 'b', 'c']) few.put(key)
  few.index.get('a')
  few.index.peek('b')
  few.put('d')
  t.same(few.dropped, ['b entries'], 'peek() is no use')
  const small = create({ maxBytes: 100 })
  for (const key of ['a', 'b', 'c']) small.put(key, 40)
  t.same(small.dropped, ['a size'])
  small.put('d', 90)
  t.same(small.dropped.slice(1), ['b size', 'c size'])
  t.same([small.index.accepts(100), small.index.accepts(101)], [true, false])
})

t.test(
  'while the limits are held nothing is evicted; then the least recently used ones, a few at a time',
  async (t) => {
    const { index, dropped, put } = create({ maxEntries: 2, maxBytes: 50 })
    index.hold()
    for (const key of ['a', 'b', 'c', 'd', 'e']) put(key)
    const a = index.peek('a')!
    t.ok(index.resize(a, 40))
    index.touch('b')
    t.same([dropped, index.count, index.bytes], [[], 5, 80])
    t.notOk(index.evictExcess(2))
    t.same(dropped, ['c entries', 'd entries'])
    t.ok(index.evictExcess())
    index.release()
    t.same([...index.keys()], ['b', 'a'])
    put('f')
    t.same(dropped.slice(2), ['e entries', 'a entries'])
  },
)

t.test('an entry that cannot be read is suspended for a second', async (t) => {
  const { index, put } = create()
  const entry = put('a')
  const now = performance.now.bind(performance)
  t.teardown(() => (performance.now = now))
  index.suspend(entry)
  t.equal(index.get('a'), undefined)
  t.equal(index.peek('a'), entry)
  t.notOk(index.has('a', 'token'), 'a fill of the same state may replace it')
  performance.now = () => now() + 1001
  t.equal(index.get('a'), entry)
  t.notOk(index.has('a', 'token'))
})

t.test('an entry expires at its age, which counts from its commit', async (t) => {
  const { index, dropped } = create({ maxAgeMs: 10_000 })
  index.set(newEntry('a', 'token'), 10, Date.now() - 20_000)
  index.set(newEntry('future', 'token'), 10, Date.now() + 1e9)
  await new Promise((resolve) => setTimeout(resolve, 20))
  index.purge()
  t.same([dropped, index.count], [['a age'], 1])
})

t.test('an entry is dropped only if it is the one of its key', async (t) => {
  const { index, dropped, put } = create()
  const old = put('a', 10, 'one')
  const newest = put('a', 10, 'two')
  t.same([index.delete(old), index.delete(newest), index.delete(newest)], [false, true, false])
  t.same(dropped, ['a superseded', 'a undefined'])
  put('b')
  index.remove('b')
  t.equal(dropped.at(-1), 'b undefined')
})
