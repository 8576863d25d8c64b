import t from 'tap'
import { HotTier, type Coolable } from '../../../src/streamcache/memory/hot-tier.js'

/** A file whose bytes are in memory; `unwritten` of them are not on disk yet and cannot be cooled. */
class FakeFile implements Coolable {
  hotBytes: number
  unwritten: number
  constructor(hotBytes: number, unwritten = 0) {
    this.hotBytes = hotBytes
    this.unwritten = unwritten
  }
  cool(): void {
    this.hotBytes = this.unwritten
  }
}

t.test('the least recently used file is cooled when the budget is used up', async (t) => {
  const tier = new HotTier(100)
  const [a, b, c] = [new FakeFile(40), new FakeFile(40), new FakeFile(40)]
  tier.keep(a)
  tier.keep(b)
  tier.touch(a)
  tier.keep(c)
  t.same([a.hotBytes, b.hotBytes, c.hotBytes], [40, 0, 40])
  t.equal(tier.bytes, 80)
})

t.test('a file that grows displaces others, never itself while it fits', async (t) => {
  const tier = new HotTier(100)
  const [old, growing] = [new FakeFile(50), new FakeFile(10)]
  tier.keep(growing)
  tier.keep(old)
  growing.hotBytes = 60
  tier.keep(growing)
  t.same([old.hotBytes, growing.hotBytes, tier.bytes], [0, 60, 60])
})

t.test('a file larger than the budget is cooled; what is not on disk stays', async (t) => {
  const tier = new HotTier(100)
  const large = new FakeFile(150, 30)
  tier.keep(large)
  t.same([large.hotBytes, tier.bytes], [30, 30])

  const unwritten = new FakeFile(150, 150)
  tier.keep(unwritten)
  t.equal(unwritten.hotBytes, 150)
  t.equal(tier.bytes, 30, 'the budget is not exceeded')
})

t.test('a budget of 0 keeps nothing', async (t) => {
  const tier = new HotTier(0)
  const [file, empty] = [new FakeFile(10), new FakeFile(0)]
  tier.keep(file)
  tier.keep(empty)
  tier.touch(file)
  tier.forget(file)
  t.same([file.hotBytes, tier.bytes], [0, 0])
})

t.test('a forgotten file no longer counts, and is not cooled', async (t) => {
  const tier = new HotTier(100)
  const file = new FakeFile(60)
  tier.keep(file)
  tier.forget(file)
  t.same([file.hotBytes, tier.bytes], [60, 0])
})
