import t from 'tap'
import { SharedReads } from '../../../src/streamcache/memory/shared-reads.js'

/** Reads that are counted. */
function counted(): { count: number; read: () => Promise<Buffer> } {
  const reads = { count: 0, read: async () => Buffer.from(`read ${++reads.count}`) }
  return reads
}

t.test('those that read the same at once, or a moment later, share one read', async (t) => {
  const shared = new SharedReads(2)
  const reads = counted()
  const file = shared.name()
  const [one, other] = await Promise.all([1, 2].map(() => shared.read(file, '0+10', reads.read)))
  t.equal(one, other)
  t.equal(await shared.read(file, '0+10', reads.read), one)
  t.equal(reads.count, 1)
})

t.test('other chunks and other files are read for themselves', async (t) => {
  const shared = new SharedReads(10)
  const reads = counted()
  const [file, another] = [shared.name(), shared.name()]
  t.not(file, another)
  await shared.read(file, '0+10', reads.read)
  await shared.read(file, '0+11', reads.read)
  await shared.read(another, '0+10', reads.read)
  t.equal(reads.count, 3)
})

t.test('only so many are kept: the least recently used go', async (t) => {
  const shared = new SharedReads(2)
  const reads = counted()
  for (const chunk of ['a', 'b', 'a', 'c', 'a']) await shared.read('file', chunk, reads.read)
  t.equal(reads.count, 3)
  await shared.read('file', 'b', reads.read)
  t.equal(reads.count, 4)
})

t.test('a read that fails fails for all that share it, and is not kept', async (t) => {
  const shared = new SharedReads(2)
  const fail = async (): Promise<Buffer> => Promise.reject(new Error('EIO'))
  const both = [1, 2].map(() => shared.read('file', 'a', fail))
  for (const each of both) await t.rejects(each, /EIO/)
  const reads = counted()
  t.equal((await shared.read('file', 'a', reads.read)).toString(), 'read 1')
})

t.test('a failure that comes late does not drop the read that took its place', async (t) => {
  const shared = new SharedReads(1)
  let fail!: (error: Error) => void
  const late = shared.read('file', 'a', () => new Promise((_, reject) => (fail = reject)))
  const reads = counted()
  await shared.read('file', 'b', reads.read)
  await shared.read('file', 'a', reads.read)
  fail(new Error('EIO'))
  await t.rejects(late, /EIO/)
  await shared.read('file', 'a', reads.read)
  t.equal(reads.count, 2)
})
