import t, { type Test } from 'tap'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { BorrowedBody, Entry, StreamCacheOptions } from '../../src/streamcache/index.js'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, producerOf } from '../support/producers.js'
import { sha256 } from '../support/sha256.js'
import { filesIn, get, openCache, openFilesUnder, put, yes, type TestCache } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const bytes = bytesOf(1, 0, 700_000)

/** Two caches on one directory; the first has committed an entry that the second may adopt. */
async function setUp(t: Test, changes: Partial<StreamCacheOptions> = {}) {
  const owner = await openCache(t)
  const borrower = await openCache(t, { ...changes, directory: owner.directory })
  const { entry } = await put(owner.cache, 'key', 'token', bytes)
  return { owner, borrower, body: bodyOf(entry) }
}

function bodyOf({ path, length, sha256 }: Entry): BorrowedBody {
  if (path === undefined || sha256 === undefined) throw new Error('not committed on disk')
  return { path, length, sha256 }
}

const openOf = ({ directory }: TestCache): number => openFilesUnder(directory).length

t.test('an adopted entry answers from the file of the other process', async (t) => {
  const { owner, borrower, body } = await setUp(t)
  t.equal(await borrower.cache.adopt('key', 'token', body), true)
  t.same((await get(borrower.cache, 'key'))?.equals(bytes), true)
  const { cache, directory } = borrower
  t.same([cache.storeBytes, cache.storeEntries], [0, 1], 'and does not count as bytes of this process')
  t.same([filesIn(directory, 'entries', 'instance-1'), filesIn(directory, 'temp', 'instance-1')], [[], []])
  await eventually('no descriptor is held while nothing is read', () => openOf(owner) === 0)
  t.equal(cache.get('key')?.path, body.path, 'its path may be published again')
  t.equal(await cache.adopt('key', 'token', body), true, 'what is there already is kept')
  cache.remove('key')
  cache.erase('key')
  await cache.close()
  t.ok(existsSync(body.path), 'and is not removed with the entry')
  t.same((await get(owner.cache, 'key'))?.equals(bytes), true)
  t.same([owner.events, borrower.events], [[], []])
})

t.test('a file that has gone is no damage, and the entry is dropped at once', async (t) => {
  const { owner, borrower, body } = await setUp(t)
  await borrower.cache.adopt('key', 'token', body)
  owner.cache.erase('key')
  t.notOk(existsSync(body.path))
  t.equal(await get(borrower.cache, 'key'), undefined)
  t.equal(borrower.cache.storeEntries, 0)
  t.equal(await borrower.cache.adopt('key', 'token', body), false, 'and it cannot be adopted again')
  await put(borrower.cache, 'key', 'token', bytes)
  t.same(borrower.events, [])
})

t.test('a follower gets all bytes although the file is removed while it reads', async (t) => {
  for (const hotMaxBytes of [0, 1 << 20]) {
    const { owner, borrower, body } = await setUp(t, { hotMaxBytes })
    const { cache } = borrower
    await cache.adopt('key', 'token', body)
    const read = async (cold: boolean): Promise<void> => {
      const entry = cache.get('key')!
      const follower = entry.follow()
      t.equal(await entry.load(), true)
      const first = await follower.read()
      if (cold) {
        // Another entry takes its memory.
        await put(cache, 'other', 'token', bytesOf(2, 0, 1 << 20))
        if (hotMaxBytes > 0) t.equal(entry.file.hotBytes === 0 || openOf(owner) === 0, true)
        await eventually('it has left memory', () => entry.file.hotBytes === 0)
        owner.cache.erase('key')
        t.notOk(existsSync(body.path))
      }
      const rest = await collect(follower)
      t.ok(Buffer.concat([first!, rest]).equals(bytes))
      follower.close()
    }
    await read(false)
    await eventually('nothing is open', () => openOf(owner) === 0)
    await read(true)
    await eventually('nothing is open at the end', () => openOf(owner) === 0)
    t.same(borrower.events, [])
  }
})

t.test('a follower that leaves while the file is opened for it leaves no descriptor behind', async (t) => {
  const { owner, borrower, body } = await setUp(t, { hotMaxBytes: 1 << 20 })
  await borrower.cache.adopt('key', 'token', body)
  await get(borrower.cache, 'key')
  const entry = borrower.cache.get('key')!
  const follower = entry.follow()
  t.equal(entry.load(), true)
  entry.file.cool()
  follower.close()
  await eventually('its bytes have left memory', () => entry.file.hotBytes === 0)
  await eventually('nothing is open', () => openOf(owner) === 0)
})

t.test(
  'bytes that are gone from the disk stay in memory for those who read them, and no longer',
  async (t) => {
    const { owner, borrower, body } = await setUp(t, { hotMaxBytes: 1 << 20 })
    const { cache } = borrower
    await cache.adopt('key', 'token', body)
    await get(cache, 'key')
    const entry = cache.get('key')!
    const follower = entry.follow()
    t.equal(entry.load(), true)
    owner.cache.erase('key')
    await put(cache, 'other', 'token', bytesOf(2, 0, 1 << 20))
    t.ok((await collect(follower)).equals(bytes))
    t.equal(await entry.load(), false, 'nothing new begins to read them')
    follower.close()
    t.equal(entry.file.hotBytes, 0)
    cache.discard(entry)
    t.same([cache.get('key'), borrower.events], [undefined, []])
  },
)

t.test('other bytes are never served', async (t) => {
  const { owner, borrower, body } = await setUp(t)
  await borrower.cache.adopt('key', 'token', { ...body, sha256: sha256(Buffer.from('other')) })
  t.equal(await get(borrower.cache, 'key'), undefined)
  t.same(borrower.events, ['storeFailed read'], 'which is reported, and is not counted as removed')
  t.equal(borrower.cache.storeEntries, 0)
  t.ok(existsSync(body.path))
  t.same((await get(owner.cache, 'key'))?.equals(bytes), true)
})

t.test('only committed files of the same cache directory are adopted', async (t) => {
  const { owner, borrower, body } = await setUp(t)
  const { cache, directory } = borrower
  const name = basename(body.path)
  const elsewhere = join(tempDir(t), 'instance-0', 'entries', name)
  mkdirSync(dirname(elsewhere), { recursive: true })
  copyFileSync(body.path, elsewhere)
  const link = join(
    dirname(body.path),
    name.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
  )
  symlinkSync(elsewhere, link)
  const plain = join(dirname(body.path), 'plain')
  writeFileSync(plain, readFileSync(body.path))
  const growing = join(directory, 'instance-0', 'temp', name)
  copyFileSync(body.path, growing)
  const wrong = [elsewhere, link, plain, growing, `${body.path}.meta`, body.path.slice(1), '', directory]
  wrong.push(`${directory}/instance-0/entries/../entries/${name}`, `${directory}//instance-0/entries/${name}`)
  for (const path of wrong) t.equal(await cache.adopt('key', 'token', { ...body, path }), false, path)
  t.equal(await cache.adopt('key', 'token', { ...body, length: 1 }), false, 'another length')
  t.equal(cache.storeEntries, 0)
  for (const path of [link, plain, growing]) rmSync(path)
  await cache.close()
  t.equal(await cache.adopt('key', 'token', body), false, 'the cache is closed')
  t.same([owner.events, borrower.events], [[], []])
})

t.test(
  'files of others are neither evicted for room on disk nor kept for longer than their age',
  async (t) => {
    const { owner, borrower, body } = await setUp(t, { maxBytes: 300_000, maxAgeMs: 60_000 })
    const { cache } = borrower
    t.equal(await cache.adopt('key', 'token', body), true, 'it may be larger than the disk limit')
    for (const key of ['a', 'b', 'c']) await put(cache, key, 'token', bytesOf(3, 0, 140_000))
    t.same([cache.get('c') !== undefined, cache.get('a')], [true, undefined])
    t.ok(cache.storeBytes <= 300_000)
    t.match(await cache.fill('d', 'token', producerOf(bytesOf(4, 0, 10)), yes).ended, 'committed')
    const old = (await put(owner.cache, 'old', 'token', bytes)).entry
    const { utimesSync } = await import('node:fs')
    const { atimeMs } = statSync(old.path!)
    utimesSync(old.path!, atimeMs / 1000, Date.now() / 1000 - 120)
    await cache.adopt('old', 'token', bodyOf(old))
    await eventually('it was two minutes old', () => cache.get('old') === undefined)
  },
)

t.test('an entry has a path while it is committed on disk', async (t) => {
  const { cache, directory } = await openCache(t, {
    memoryFirst: true,
    hotMaxBytes: 1 << 20,
    maxLeadBytes: 1 << 20,
  })
  const { entry, ended } = cache.fill('key', 'token', producerOf('abc'), yes)
  t.equal(entry.path, undefined)
  await ended
  t.equal(entry.path, undefined, 'it is in memory only')
  entry.retain()
  await put(cache, 'other', 'token', bytesOf(1, 0, 1 << 20))
  await eventually('it moves to disk', () => entry.path !== undefined)
  t.equal(dirname(entry.path!), join(directory, 'instance-0', 'entries'))
  cache.remove('key')
  t.equal(entry.path, undefined)
})
