import t from 'tap'
import type { Test } from 'tap'
import fc from 'fast-check'
import { setTimeout as sleep } from 'node:timers/promises'
import { replaceStatfs } from '../support/broken-fs.js'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, ManualProducer, readUntil, producerOf } from '../support/producers.js'
import { filesIn, get, nothingLeaks, openCache, openFilesUnder, put, yes } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

t.test('the least recently used entries are evicted when there are too many', async (t) => {
  const { cache, directory, events, options } = await openCache(t, { maxEntries: 2 })
  for (const key of ['a', 'b']) await put(cache, key, 'token', key)
  cache.get('a')
  await put(cache, 'c', 'token', 'c')
  const kept = ['a', 'b', 'c'].map((key) => cache.get(key) !== undefined)
  t.same([kept, events], [[true, false, true], ['evicted entries']])
  await put(cache, 'c', 'later', 'c')
  t.same([cache.storeEntries, events.slice(1)], [2, ['evicted superseded']])
  await eventually('their files go', () => filesIn(directory, 'entries').length === 2)
  await cache.close()

  const again = await openCache(t, { ...options, maxEntries: 1 })
  t.same([again.cache.storeEntries, events.slice(2)], [1, ['evicted entries']], 'fewer are kept than before')
  t.ok(again.cache.get('c'), 'the newest stays')
})

t.test('bytes and number always stay within their limits, and each eviction tells which', async (t) => {
  const keys = fc.array(fc.record({ key: fc.nat(6), size: fc.integer({ min: 0, max: 900 }) }), {
    maxLength: 20,
  })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1200, max: 4000 }),
      keys,
      async (...given) => {
        const [maxEntries, maxBytes, puts] = given
        const directory = tempDir(t)
        const { cache, events } = await openCache(t, { directory, maxEntries, maxBytes })
        for (const [index, { key, size }] of puts.entries()) {
          const before = { entries: cache.storeEntries, bytes: cache.storeBytes, events: events.length }
          await put(cache, `${key}`, `${index}`, bytesOf(key, 0, size))
          if (cache.storeEntries > maxEntries || cache.storeBytes > maxBytes)
            throw new Error('past its limits')
          const told = events.slice(before.events)
          if (told.includes('evicted entries') && before.entries < maxEntries)
            throw new Error('there was a place')
          if (told.includes('evicted size') && before.bytes + size + 400 < maxBytes)
            throw new Error('it was small')
        }
        await cache.close()
        if (filesIn(directory, 'entries').length !== cache.storeEntries) throw new Error('a file stays')
      },
    ),
    { numRuns: 40 },
  )
  t.pass()
})

t.test('an entry that outgrows its limit is served whole, and leaves the disk', async (t) => {
  for (const hotMaxBytes of [0, 1 << 26]) {
    const { cache, directory, events } = await openCache(t, { hotMaxBytes, maxEntryBytes: 1 << 20 })
    const bytes = bytesOf(1, 0, 3 << 20)
    const producer = new ManualProducer().push(bytes.subarray(0, 1 << 20))
    const { entry, ended } = cache.fill('key', 'token', producer.run, yes)
    const [fast, slow] = [entry.follow(), entry.follow()]
    await readUntil(fast, 1 << 20)
    await eventually('it is on disk', () => filesIn(directory, 'temp').length === 1)
    if (hotMaxBytes === 0) await eventually('and there only', () => entry.file.hotBytes === 0)
    t.equal(filesIn(directory, 'temp').length, 1, 'at its limit it stays')
    producer.push(bytes.subarray(1 << 20, (1 << 20) + 1))
    await eventually('its name has gone before its end', () => filesIn(directory, 'temp').length === 0)
    producer.push(bytes.subarray((1 << 20) + 1)).end()
    t.equal(await ended, 'unstored')
    t.equal(cache.get('key'), undefined)
    fast.close()
    t.ok((await collect(slow)).equals(bytes))
    t.same(events, [])
    await nothingLeaks(directory)
    t.same([cache.hotBytes, filesIn(directory, 'entries')], [0, []])
  }
})

t.test('an entry that outgrows its limit before its file exists', async (t) => {
  const { cache, directory, events } = await openCache(t, { maxEntryBytes: 10 })
  const { entry, ended } = cache.fill('key', 'token', producerOf(bytesOf(1, 0, 11)), yes)
  t.ok((await collect(entry.follow())).equals(bytesOf(1, 0, 11)))
  t.equal(await ended, 'unstored')
  await nothingLeaks(directory)
  await put(cache, 'key', 'token', bytesOf(1, 0, 10))
  t.same(events, [])
})

/** @returns sets the blocks that are free */
function freeBlocks(t: Test, blocks: number): (blocks: number) => void {
  let free = blocks
  replaceStatfs(t, async () => ({ bsize: 1, blocks: 1 << 20, bavail: free, files: 0, ffree: 0 }))
  return (now) => (free = now)
}

t.test(
  'a filesystem with too little free space: nothing is stored, all is served, until there is enough',
  async (t) => {
    const setFree = freeBlocks(t, 5000)
    const { cache, directory, events } = await openCache(t, { minFreeBytes: 1000 })
    await put(cache, 'old', 'token', 'old')
    setFree(999)
    await eventually('it is noticed', async () => {
      const { entry, ended } = cache.fill('key', undefined, producerOf('abc'), yes)
      t.equal((await collect(entry.follow())).toString(), 'abc')
      await ended
      return events.length > 0
    })
    await nothingLeaks(directory)
    const producer = new ManualProducer().push(Buffer.from('abc'))
    const { entry, ended } = cache.fill('key', 'token', producer.run, yes)
    const follower = entry.follow()
    await readUntil(follower, 3)
    t.same(filesIn(directory, 'temp'), [])
    producer.end()
    t.equal(await follower.read(), null)
    follower.close()
    t.equal(await ended, 'unstored')
    t.equal((await get(cache, 'old'))?.toString(), 'old', 'stored entries still answer')
    setFree(1000)
    await eventually('it is stored', async () => {
      await sleep(20)
      return (await cache.fill('key', 'token', producerOf('abc'), yes).ended) === 'committed'
    })
    t.same(events, ['storeFull', 'storeResumed'])
    await nothingLeaks(directory)
    t.same(openFilesUnder(directory), [])
  },
)
