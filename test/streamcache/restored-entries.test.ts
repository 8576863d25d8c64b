import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Revision, StreamCache, type StreamCacheOptions } from '../../src/streamcache/index.js'
import { breakFs } from '../support/broken-fs.js'
import { eventually } from '../support/eventually.js'
import { bytesOfRope, changeLine, listingRope, reviseWith } from '../support/ropes.js'
import { sha256 } from '../support/sha256.js'
import { layDownEntries } from '../support/stored-entries.js'
import {
  bodiesIn,
  cacheOptions,
  filesIn,
  get,
  nothingLeaks,
  openCache,
  put,
} from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

/** So many that reading them takes more than one turn of the event loop. */
const count = 1000

/** Opens a cache over so many entries, of which only a few are read when this resolves. */
async function openMany(t: Test, changes: Partial<StreamCacheOptions> = {}) {
  const directory = changes.directory ?? tempDir(t)
  if (!changes.directory) layDownEntries(directory, count)
  const restored: number[] = []
  const { options, events } = cacheOptions({ ...changes, directory })
  const cache = await StreamCache.open({
    ...options,
    events: { ...options.events, restored: ({ entries }) => restored.push(entries) },
  })
  t.teardown(() => cache.close())
  return { cache, directory, events, restored }
}

const pathOf = (directory: string, key: string): string =>
  bodiesIn(directory).find((path) => path.includes(sha256(key))) as string

t.test('an entry is found before those before it are read', async (t) => {
  const { cache, directory, events, restored } = await openMany(t)
  await cache.listing
  for (const index of [count - 1, 0, 567]) {
    t.equal(cache.get(`key ${index}`)?.token, `token ${index}`)
    t.equal(String(await get(cache, `key ${index}`)), 'bytes')
  }
  t.equal(cache.get('another'), undefined)
  t.ok(cache.storeEntries < count, 'what is known so far')
  t.same(restored, [])
  await cache.restored
  t.same([cache.storeEntries, restored, events], [count, [count], []])
  t.equal([...cache.keys()].length, count)
  await nothingLeaks(directory)
})

t.test('when all are known, those not used since the start are evicted first, by their age', async (t) => {
  const kept = 100
  const { cache, directory, events } = await openMany(t, { maxEntries: kept })
  await cache.listing
  t.ok(cache.get('key 7'))
  t.ok(cache.get('key 3'))
  await put(cache, 'new', 'token', 'bytes')
  t.equal(events.length, 0, 'nothing is evicted before')
  await cache.restored
  const newest = Array.from({ length: kept - 3 }, (_, index) => `key ${count - 1 - index}`)
  t.same([...cache.keys()], ['new', 'key 3', 'key 7', ...newest])
  t.same(events, Array<string>(count + 1 - kept).fill('evicted entries'))
  await put(cache, 'newer', 'token', 'bytes')
  t.notOk([...cache.keys()].includes(newest.at(-1)!), 'from now on at once')
  await eventually('the files of the others are gone', () => filesIn(directory, 'entries').length === kept)
  await nothingLeaks(directory)
})

t.test('more bytes than allowed are evicted when all are known', async (t) => {
  const { cache, events } = await openMany(t, { maxBytes: 30_000 })
  await cache.restored
  t.ok(cache.storeBytes <= 30_000 && cache.storeBytes > 29_000)
  t.equal(cache.storeEntries + events.length, count)
  t.ok(cache.get(`key ${count - 1}`))
  t.equal(cache.get('key 0'), undefined)
})

t.test('an entry committed meanwhile replaces the one that was left', async (t) => {
  const { cache, directory, events } = await openMany(t)
  await put(cache, 'key 5', 'another token', 'new')
  await cache.restored
  t.equal(cache.get('key 5')?.token, 'another token')
  t.equal(String(await get(cache, 'key 5')), 'new')
  t.same([cache.storeEntries, events], [count, ['evicted superseded']])
  await eventually('one file of each key', () => filesIn(directory, 'entries').length === count)
})

t.test('a cache that is closed while it reads leaves all to the next one', async (t) => {
  const { cache, directory, events, restored } = await openMany(t, { maxEntries: 1 })
  await cache.listing
  t.ok(cache.get('key 1'))
  await cache.close()
  t.ok(cache.storeEntries < count, 'not all were read')
  t.same([events, restored, filesIn(directory, 'entries').length], [[], [], count])
  const listed = await openMany(t, { directory })
  await listed.cache.close()
  const again = await openCache(t, { directory })
  t.equal(again.cache.storeEntries, count)
  t.same(again.events, [])
})

t.test('damage is found before its turn, and in its turn', async (t) => {
  const directory = tempDir(t)
  layDownEntries(directory, count)
  for (const key of ['key 10', 'key 20', 'key 30']) truncateSync(pathOf(directory, key), 1)
  writeFileSync(`${pathOf(directory, 'key 40')}x.meta`, 'its body was removed')
  const { cache, events } = await openMany(t, { directory })
  await cache.listing
  t.equal(cache.get('key 20'), undefined)
  await cache.restored
  t.same(events.sort(), ['discarded temp', ...Array<string>(3).fill('discarded truncated')])
  t.equal(cache.storeEntries, count - 3)
  t.equal(filesIn(directory, 'entries').length, count - 3)
})

t.test('an entry with revisions is its last one, also before its turn', async (t) => {
  const directory = tempDir(t)
  layDownEntries(directory, count)
  const first = await openCache(t, { directory })
  const rope = listingRope(2000, 16 * 1024)
  const { entry } = await put(first.cache, 'revised', 'one', bytesOfRope(rope))
  const next = changeLine(rope, 7, '5')
  const { ended } = reviseWith(first.cache, 'revised', 'two', new Revision(next, { entry, rope }))
  t.equal(await ended, 'committed')
  await first.cache.close()
  const { cache } = await openMany(t, { directory })
  await cache.listing
  t.equal(cache.get('revised')?.token, 'two')
  t.ok(cache.storeEntries < count)
  t.ok((await get(cache, 'revised'))?.equals(bytesOfRope(next)))
  await cache.restored
  t.equal(cache.get('revised')?.token, 'two')
})

t.test('what is erased before the directory is listed is gone from the disk', async (t) => {
  const { cache, directory } = await openMany(t)
  t.ok(cache.listing)
  const path = pathOf(directory, 'key 8')
  cache.erase('key 8')
  t.notOk(bodiesIn(directory).includes(path))
  await cache.restored
  t.same([cache.get('key 8'), cache.storeEntries], [undefined, count - 1])
})

t.test('all entries of some keys are erased, also those that are not read yet', async (t) => {
  const { cache, directory } = await openMany(t)
  cache.eraseAll((key) => key.endsWith('7'))
  t.equal(bodiesIn(directory).length, (count * 9) / 10)
  await cache.restored
  t.equal(cache.storeEntries, (count * 9) / 10)
})

t.test('a thousand entries of one key: the newest is its entry, and the others are removed', async (t) => {
  const directory = tempDir(t)
  layDownEntries(directory, count, undefined, () => 'one key')
  const { cache, events } = await openMany(t, { directory })
  await cache.listing
  t.equal(cache.get('one key')?.token, `token ${count - 1}`, 'before its turn')
  await cache.restored
  t.equal(cache.get('one key')?.token, `token ${count - 1}`)
  t.equal(cache.storeEntries, 1)
  t.ok(events.every((event) => event === 'evicted superseded'))
  await eventually('the others are removed', () => filesIn(directory, 'entries').length === 1)
  await nothingLeaks(directory)
})

t.test('what is no entry among the entries is removed, whatever it is, and blocks nothing', async (t) => {
  const directory = tempDir(t)
  layDownEntries(directory, 3)
  const entries = join(directory, 'instance-0', 'entries')
  const outside = tempDir(t)
  writeFileSync(join(outside, 'kept'), '')
  for (const name of [sha256('key 0'), '.meta', '..meta', 'a', 'a.meta.meta', `${sha256('key 1')}.`])
    writeFileSync(join(entries, name), name)
  mkdirSync(join(entries, 'directory', 'in it'), { recursive: true })
  mkdirSync(join(entries, 'directory.meta'))
  symlinkSync(outside, join(entries, 'link'))
  execFileSync('mkfifo', [join(entries, 'pipe'), join(entries, 'pipe.meta')])
  const { cache } = await openMany(t, { directory })
  await cache.restored
  for (const index of [0, 1, 2]) t.equal(String(await get(cache, `key ${index}`)), 'bytes')
  t.equal(cache.storeEntries, 3)
  await eventually('the rest is gone', () => readdirSync(entries).length === 6)
  t.ok(existsSync(join(outside, 'kept')), 'a link is removed, and not what it leads to')
})

t.test('a directory that cannot be listed is reported; the next fill tries again', async (t) => {
  const directory = tempDir(t)
  layDownEntries(directory, 3)
  const disk = await breakFs(t)
  disk.decide = (what) => (what === 'readdir' ? new Error('no') : undefined)
  const { cache, events } = await openMany(t, { directory })
  await cache.listing
  await cache.restored
  t.same([events, cache.get('key 1')], [['storeFailed open'], undefined])
  disk.decide = () => undefined
  await put(cache, 'key 2', 'newer', 'bytes')
  await cache.restored
  t.equal(cache.get('key 1')?.token, 'token 1')
  t.equal(cache.get('key 2')?.token, 'newer')
})

t.test('a directory that is removed while it is read', async (t) => {
  const { cache, directory } = await openMany(t)
  await cache.listing
  rmSync(join(directory, 'instance-0'), { recursive: true })
  await put(cache, 'new', 'token', 'bytes')
  await cache.restored
  t.equal(cache.get('new')?.token, 'token')
  t.ok(cache.storeEntries >= 1)
})
