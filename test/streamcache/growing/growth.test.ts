import t from 'tap'
import { Growth, type GrowthOptions } from '../../../src/streamcache/growing/growth.js'

const mib = 1024 * 1024

const growthWith = (changes: Partial<GrowthOptions>): Growth<object> =>
  new Growth({
    maxBytes: Infinity,
    short: () => false,
    grown: () => {},
    shrinkCommitted: () => 0,
    ...changes,
  })

t.test('the bytes of all files that grow, until each of them ends', async (t) => {
  const growth = growthWith({})
  const [one, other] = [{}, {}]
  growth.grow(one, 10)
  growth.grow(other, 5)
  growth.grow(one, 1)
  t.equal(growth.bytes, 16)
  growth.end(one)
  growth.end(one)
  growth.end({})
  t.equal(growth.bytes, 5)
  growth.end(other)
  t.equal(growth.bytes, 0)
})

t.test('there is room as far as committed files give way', async (t) => {
  let committed = 60
  let leastPossible = 0
  let isShort = false
  const growth = growthWith({
    maxBytes: 100,
    short: () => isShort,
    shrinkCommitted: (bytes) => (committed = Math.max(leastPossible, Math.min(committed, bytes))),
  })
  const file = {}
  t.same([growth.grow(file, 40), committed], [true, 60])
  t.same([growth.grow(file, 30), committed], [true, 30], 'they give way')
  leastPossible = 20
  t.same([growth.grow(file, 20), growth.bytes], [false, 70], 'those that are read do not')
  t.same([growth.grow(file, 31), growth.bytes], [false, 70])
  isShort = true
  t.same([growth.grow(file, 1), growth.bytes], [false, 70])
})

t.test('a file that was dropped counts once for as long as it is read', async (t) => {
  const growth = growthWith({ maxBytes: 10 })
  const [growing, committed] = [{}, {}]
  growth.grow(growing, 6)
  growth.hold(growing, 6)
  growth.hold(committed, 4)
  t.same([growth.bytes, growth.grow({}, 1)], [10, false])
  growth.end(committed)
  t.ok(growth.grow({}, 1))
})

t.test('it tells about each 64 MiB, by whichever files', async (t) => {
  let told = 0
  const growth = growthWith({ grown: () => told++ })
  const [one, other] = [{}, {}]
  growth.grow(one, 40 * mib)
  growth.end(one)
  t.equal(told, 0)
  growth.grow(other, 24 * mib)
  t.equal(told, 1)
  growth.grow(other, 64 * mib - 1)
  t.equal(told, 1)
  growth.grow(other, 1)
  t.equal(told, 2)
})
