import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, readUntil } from '../support/producers.js'
import { filesIn, get, nothingLeaks, openCache, put } from '../support/stream-cache.js'

t.test('a newer entry replaces the older one, whose followers go on', async (t) => {
  const { cache, directory, events } = await openCache(t, { hotMaxBytes: 0 })
  const old = bytesOf(1, 0, 1 << 20)
  await put(cache, 'key', 'one', old)
  const entry = cache.get('key')!
  const reader = entry.follow()
  t.ok(await entry.load())
  await readUntil(reader, 1)
  await put(cache, 'key', 'two', 'new')
  t.equal((await get(cache, 'key'))?.toString(), 'new')
  while (reader.offset < old.length) {
    const at = reader.offset
    const chunk = (await reader.read())!
    if (!chunk.equals(old.subarray(at, at + chunk.length))) t.fail(`at ${at}`)
  }
  t.equal(await reader.read(), null)
  reader.close()
  t.same(events, ['evicted superseded'])
  await nothingLeaks(directory)
  await eventually('1 files are left', () => filesIn(directory, 'entries').length === 1)
})

t.test(
  'the least recently used entries are evicted when the disk is full; their followers go on',
  async (t) => {
    const { cache, directory, events } = await openCache(t, { hotMaxBytes: 0, maxBytes: 3900 })
    for (const key of ['a', 'b', 'c']) await put(cache, key, 'token', bytesOf(1, 0, 1000 - 1))
    const entry = cache.get('b')!
    const reader = entry.follow()
    t.ok(await entry.load())
    cache.get('a')
    cache.get('c')
    await put(cache, 'd', 'token', bytesOf(1, 0, 1000))
    t.same(
      ['a', 'b', 'c', 'd'].map((key) => cache.get(key) !== undefined),
      [true, false, true, true],
    )
    t.same(events, ['evicted size'])
    t.ok(cache.storeBytes <= 3900)
    t.ok((await collect(reader)).equals(bytesOf(1, 0, 999)))
    await nothingLeaks(directory)
    await eventually('3 files are left', () => filesIn(directory, 'entries').length === 3)
  },
)

t.test('a follower goes on when its entry leaves the disk first and memory then', async (t) => {
  const { cache, directory } = await openCache(t, { hotMaxBytes: 1 << 20 })
  const old = bytesOf(1, 0, 900_000)
  await put(cache, 'key', 'one', old)
  await nothingLeaks(directory)
  const reader = cache.get('key')!.follow()
  t.ok(cache.get('key')!.load())
  await readUntil(reader, 1)
  await put(cache, 'key', 'two', 'new')
  await eventually('the old one has no name', () => filesIn(directory, 'entries').length === 1)
  await put(cache, 'other', 'token', bytesOf(2, 0, 900_000))
  const at = reader.offset
  t.ok((await collect(reader)).equals(old.subarray(at)))
  await nothingLeaks(directory)
})

t.test('an entry that is evicted while it is being loaded is still served', async (t) => {
  const { cache, directory, options } = await openCache(t, { maxBytes: 1500, hotMaxBytes: 0 })
  const bytes = bytesOf(1, 0, 1000)
  await put(cache, 'key', 'token', bytes)
  await cache.close()
  const again = (await openCache(t, options)).cache
  const entry = again.get('key')!
  const reader = entry.follow()
  const loading = entry.load()
  await put(again, 'other', 'token', bytes)
  t.equal(again.get('key'), undefined)
  t.equal(await loading, true)
  t.ok((await collect(reader)).equals(bytes))
  await nothingLeaks(directory)
})

t.test('entries expire at their age, which they keep over a restart', async (t) => {
  const hour = 3_600_000
  const { cache, directory, events, options } = await openCache(t, { maxAgeMs: hour })
  await put(cache, 'key', 'token', 'abc')
  t.ok(cache.get('key'))
  await cache.close()
  const now = Date.now()
  const clock = t.capture(Date, 'now', () => now + hour / 2)
  const again = (await openCache(t, options)).cache
  t.ok(again.get('key'), 'half an hour later')
  await again.close()
  clock.restore()
  t.capture(Date, 'now', () => now + hour - 1)
  const last = (await openCache(t, options)).cache
  await eventually('its last millisecond has passed', () => last.get('key') === undefined)
  t.same(events, ['evicted age'])
  await nothingLeaks(directory)
  await eventually('0 files are left', () => filesIn(directory, 'entries').length === 0)
})

t.test('memory stays within its budget; what left it comes back from disk', async (t) => {
  const { cache, directory } = await openCache(t, { hotMaxBytes: 1 << 20 })
  const keys = ['a', 'b', 'c', 'd', 'e']
  for (const key of keys) await put(cache, key, 'token', bytesOf(key.charCodeAt(0), 0, 400_000))
  for (const key of [...keys, ...keys.reverse()]) {
    t.ok((await get(cache, key))?.equals(bytesOf(key.charCodeAt(0), 0, 400_000)))
    t.ok(cache.hotBytes <= 1 << 20)
  }
  await nothingLeaks(directory)
})

t.test('a smaller store takes over what it may keep, and removes the rest', async (t) => {
  const { cache, directory, options } = await openCache(t)
  await put(cache, 'large', 'token', bytesOf(1, 0, 5000))
  await put(cache, 'old', 'token', bytesOf(1, 0, 500))
  await sleep(2) // Their age decides which are kept.
  await put(cache, 'new', 'token', bytesOf(1, 0, 600))
  await cache.close()
  const again = (await openCache(t, { ...options, maxBytes: 1000 })).cache
  t.ok(again.get('new'))
  t.same([again.get('large'), again.get('old'), again.storeEntries], [undefined, undefined, 1])
  await again.close()
  t.equal(filesIn(directory, 'entries').length, 1)
})
