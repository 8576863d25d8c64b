import t, { type Test } from 'tap'
import type { Entry } from '../../src/streamcache/index.js'
import { eventually } from '../support/eventually.js'
import {
  bytesOf,
  collect,
  ManualProducer,
  pending,
  producerOf,
  readUntil,
  turns,
} from '../support/producers.js'
import {
  filesIn,
  get,
  nothingLeaks,
  openCache,
  openFilesUnder,
  yes,
  type TestCache,
} from '../support/stream-cache.js'

const mib = 1024 * 1024
/** The lead: up to here a pack is in memory only. */
const window = 4 * mib

const open = (t: Test, changes: object = {}): Promise<TestCache> =>
  openCache(t, { memoryFirst: true, maxLeadBytes: window, ...changes })

const files = ({ directory }: TestCache): number[] =>
  (['temp', 'entries'] as const).map((folder) => filesIn(directory, folder).length)

t.test('a short entry is kept in memory and answers without a file', async (t) => {
  const test = await open(t)
  const { cache } = test
  const bytes = bytesOf(1, 0, 3 * mib)
  const { entry, ended } = cache.fill('a', 'token', producerOf(bytes), yes)
  const readers = [entry.follow(), entry.follow()].map(collect)
  t.equal(await ended, 'committed')
  for (const reader of readers) t.ok(bytes.equals(await reader))
  t.ok(bytes.equals((await get(cache, 'a'))!))
  t.same([files(test), cache.storeEntries, cache.storeBytes], [[0, 0], 1, bytes.length])
  cache.remove('a')
  t.equal(cache.storeEntries, 0)
  await eventually('its memory is free', () => cache.hotBytes === 0)
})

t.test('what one fast client reads is never written, and its beginning is dropped', async (t) => {
  const test = await open(t)
  const bytes = bytesOf(2, 0, 20 * mib)
  const producer = new ManualProducer()
  const { entry, ended } = test.cache.fill('a', 'token', producer.run, yes)
  const follower = entry.follow()
  for (let at = 0; at < bytes.length; at += mib) {
    producer.push(bytes.subarray(at, at + mib))
    await readUntil(follower, at + mib)
  }
  t.notOk(entry.joinable, 'a later client needs a fill of its own')
  t.ok(test.cache.hotBytes <= window + mib, `${test.cache.hotBytes} bytes in memory`)
  producer.end()
  t.equal(await ended, 'unstored')
  t.same([await follower.read(), files(test), test.cache.storeEntries], [null, [0, 0], 0])
  follower.close()
  t.same(test.events, [])
})

t.test('a long entry with two followers goes to disk, all of it', async (t) => {
  const test = await open(t)
  const bytes = bytesOf(3, 0, 20 * mib)
  const producer = new ManualProducer().push(bytes.subarray(0, 3 * mib))
  const { entry, ended } = test.cache.fill('a', 'token', producer.run, yes)
  const first = collect(entry.follow())
  const slow = entry.follow()
  await eventually('it is in memory', () => entry.length === 3 * mib)
  t.same(files(test), [0, 0])
  producer.push(bytes.subarray(3 * mib)).end()
  t.equal(await ended, 'committed', 'nobody waits for the slow one')
  t.same([files(test)[0], test.cache.storeEntries], [0, 1])
  t.ok(bytes.equals(await first))
  t.ok(bytes.equals(await collect(slow)))
  t.ok(bytes.equals((await get(test.cache, 'a'))!))
  await test.cache.close()
  const again = await open(t, { directory: test.directory })
  t.ok(bytes.equals((await get(again.cache, 'a'))!), 'after a restart too')
})

t.test('an only follower that lags is written to disk, so that the producer can end', async (t) => {
  const test = await open(t)
  const bytes = bytesOf(4, 0, 20 * mib)
  const { entry, ended } = test.cache.fill('a', 'token', producerOf(...pieces(bytes)), yes)
  const follower = entry.follow()
  t.equal(await ended, 'committed', 'its beginning was there, so all of it is kept')
  t.ok(bytes.equals(await collect(follower)))
})

t.test('a follower that lags later is written from where it is; that entry is not kept', async (t) => {
  const test = await open(t)
  const { cache, directory } = test
  const bytes = bytesOf(5, 0, 30 * mib)
  const producer = new ManualProducer()
  const { entry, ended } = cache.fill('a', 'token', producer.run, yes)
  const follower = entry.follow()
  for (let at = 0; at < 10 * mib; at += mib) {
    producer.push(bytes.subarray(at, at + mib))
    await readUntil(follower, at + mib)
  }
  producer.push(...pieces(bytes.subarray(10 * mib))).end()
  t.equal(await ended, 'unstored')
  t.ok(openFilesUnder(directory).length > 0, 'the rest is in a file without a name')
  t.ok(bytes.subarray(10 * mib).equals(await collect(follower)))
  await nothingLeaks(directory)
  t.same([files(test), cache.storeEntries], [[0, 0], 0])
})

t.test('without a follower the producer waits at the end of the memory', async (t) => {
  const test = await open(t)
  let unread = 0
  const producer = new ManualProducer().push(...pieces(bytesOf(6, 0, 20 * mib))).end()
  const { entry, ended } = test.cache.fill('a', 'token', producer.run, yes, () => unread++)
  const follower = entry.follow()
  follower.close()
  t.equal(unread, 1)
  t.ok(await pending(ended))
  t.ok(producer.taken <= window + mib, `${producer.taken} bytes`)
  t.ok(entry.joinable, 'the beginning is still there')
  entry.retain()
  t.equal(await ended, 'committed', 'an owner that expects more clients has it written')
  t.equal(files(test)[1]! > 0, true)
})

t.test('memory for others: a shared entry is written to disk, another is dropped', async (t) => {
  const test = await open(t, { hotMaxBytes: 6 * mib })
  const { cache, events } = test
  const put = async (key: string, stream: number, shared: boolean): Promise<void> => {
    const { entry, ended } = cache.fill(key, 'token', producerOf(bytesOf(stream, 0, 2 * mib)), yes)
    const readers = [entry.follow(), ...(shared ? [entry.follow()] : [])].map(collect)
    t.equal(await ended, 'committed')
    await Promise.all(readers)
  }
  await put('shared', 1, true)
  await put('alone', 2, false)
  await put('third', 3, false)
  t.same([events, files(test)], [[], [0, 0]])
  await put('fourth', 4, false)
  await eventually('the shared one is on disk', () => files(test)[0] === 0 && files(test)[1]! > 0)
  await put('fifth', 5, false)
  t.same(events, ['evicted memory'], 'the one that nothing shared')
  const kept = ['shared', 'alone', 'third'].map((key) => cache.get(key) !== undefined)
  t.same(kept, [true, false, true])
  t.ok(bytesOf(1, 0, 2 * mib).equals((await get(cache, 'shared'))!))
  await cache.close()
  const again = await open(t, { directory: test.directory })
  t.ok(bytesOf(1, 0, 2 * mib).equals((await get(again.cache, 'shared'))!))
})

t.test(
  'growing entries count against the limit on disk: kept ones give way, then the writer is paced',
  async (t) => {
    const test = await open(t, { maxBytes: 25 * mib })
    const { cache, events, directory } = test
    const old = cache.fill('old', 'token', producerOf(...pieces(bytesOf(7, 0, 20 * mib))), yes)
    old.entry.retain()
    t.equal(await old.ended, 'committed')
    const bytes = bytesOf(8, 0, 40 * mib)
    const producer = new ManualProducer().push(...pieces(bytes)).end()
    const { entry, ended } = cache.fill('new', 'token', producer.run, yes)
    const follower = entry.follow()
    entry.retain()
    t.ok(await pending(ended))
    await eventually('the old one has given way', () => events.includes('evicted size'))
    await turns(200)
    t.ok(producer.taken < 40 * mib, 'the producer waits for its client')
    t.ok(bytes.equals(await collect(follower)), 'which gets all')
    t.equal(await ended, 'unstored')
    await nothingLeaks(directory)
    const last = cache.fill('last', 'token', producerOf(...pieces(bytesOf(9, 0, 20 * mib))), yes)
    last.entry.retain()
    t.equal(await last.ended, 'committed', 'the room is free again')
  },
)

t.test('an entry larger than its own limit, and a disk that fails, end in back-pressure', async (t) => {
  const test = await open(t, { maxEntryBytes: 10 * mib })
  const bytes = bytesOf(10, 0, 40 * mib)
  const { entry, ended } = test.cache.fill('a', 'token', producerOf(...pieces(bytes)), yes)
  const readers = [entry.follow(), entry.follow()]
  t.ok(await pending(ended))
  const whole = await Promise.all(readers.map(collect))
  t.ok(whole.every((each) => each.equals(bytes)))
  t.equal(await ended, 'unstored')
  await nothingLeaks(test.directory)
})

t.test('no room on disk: one of several clients stops, and the others get all of it', async (t) => {
  const { cache, directory } = await open(t, { maxBytes: mib, patienceMs: 50 })
  const bytes = bytesOf(11, 0, 40 * mib)
  const { entry, ended } = cache.fill('a', 'token', producerOf(...pieces(bytes)), yes)
  const stopped = entry.follow()
  const whole = await Promise.all([entry.follow(), entry.follow()].map(collect))
  t.ok(whole.every((each) => each.equals(bytes)))
  t.equal(await ended, 'unstored')
  t.throws(() => stopped.read(), { name: 'FillError', fault: 'stalled' })
  t.equal(cache.followers, 0)
  await nothingLeaks(directory)
})

/** A cache whose memory has room for one of two entries; one is committed and shared, and moves to disk for the other. */
async function moving(t: Test, changes: object = {}): Promise<TestCache & { entry: Entry }> {
  const test = await open(t, { hotMaxBytes: 3 * mib, ...changes })
  const { cache } = test
  const { entry, ended } = cache.fill('a', 'token', producerOf(bytesOf(0, 0, 2 * mib)), yes)
  await Promise.all([entry.follow(), entry.follow()].map(collect))
  t.equal(await ended, 'committed')
  t.same([files(test), entry.file.inMemoryOnly], [[0, 0], true])
  cache.fill('b', 'token', new ManualProducer().push(bytesOf(1, 0, 2 * mib)).run, yes)
  while (entry.file.inMemoryOnly) await turns(1)
  return { ...test, entry }
}

t.test('an entry that is removed while it moves to disk leaves nothing', async (t) => {
  for (const turnsBefore of [0, 1, 2, 3, 5, 8]) {
    const test = await moving(t)
    await turns(turnsBefore)
    test.cache.remove('a')
    await nothingLeaks(test.directory)
    await eventually('no file is left', () => files(test)[1] === 0)
    await test.cache.close()
    t.same([test.events, openFilesUnder(test.directory)], [[], []])
  }
})

t.test('a cache that is closed while an entry moves to disk leaves it whole, or not at all', async (t) => {
  for (const turnsBefore of [0, 1, 2, 3, 5, 8]) {
    const test = await moving(t)
    await turns(turnsBefore)
    await test.cache.close()
    t.same([openFilesUnder(test.directory), filesIn(test.directory, 'temp')], [[], []])
    const again = await open(t, { directory: test.directory })
    const kept = await get(again.cache, 'a')
    if (kept) t.ok(kept.equals(bytesOf(0, 0, 2 * mib)))
    t.same([test.events, again.events], [[], []])
  }
})

t.test('an entry that moves to disk counts once against the limit on disk', async (t) => {
  const test = await moving(t, { maxBytes: 3 * mib })
  await eventually('it is on disk', () => files(test)[1]! > 0 && files(test)[0] === 0)
  t.same([test.events, test.cache.storeEntries], [[], 1])
  t.ok(bytesOf(0, 0, 2 * mib).equals((await get(test.cache, 'a'))!))
})

t.test('a file that finds no room takes none from others', async (t) => {
  const { cache } = await open(t, { maxBytes: 12 * mib })
  const large = new ManualProducer().push(...pieces(bytesOf(12, 0, 40 * mib)))
  const paced = cache.fill('large', 'token', large.run, yes)
  const follower = paced.entry.follow()
  await eventually('it is written', () => large.taken > window)
  paced.entry.retain()
  await turns(200)
  const whole = collect(follower)
  large.end()
  t.ok(bytesOf(12, 0, 40 * mib).equals(await whole))
  t.equal(await paced.ended, 'unstored')
  const next = cache.fill('next', 'token', producerOf(...pieces(bytesOf(13, 0, 8 * mib))), yes)
  next.entry.retain()
  t.equal(await next.ended, 'committed')
})

function pieces(bytes: Buffer): Buffer[] {
  const size = 64 * 1024
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}

t.test('an entry that is read does not give way, since its bytes would stay on disk', async (t) => {
  const test = await open(t, { maxBytes: 25 * mib })
  const { cache, events, directory } = test
  const bytes = bytesOf(11, 0, 20 * mib)
  const kept = cache.fill('read', 'token', producerOf(...pieces(bytes)), yes)
  kept.entry.retain()
  const reader = kept.entry.follow()
  t.equal(await kept.ended, 'committed')
  const next = cache.fill('next', 'token', producerOf(...pieces(bytesOf(12, 0, 20 * mib))), yes)
  next.entry.retain()
  const follower = next.entry.follow()
  t.ok(await pending(next.ended), 'it is paced by its client')
  t.same([events, cache.storeEntries], [[], 1])
  cache.remove('read')
  t.ok(bytes.equals(await collect(reader)), 'the reader of a file that was removed gets all of it')
  await collect(follower)
  t.equal(await next.ended, 'unstored')
  await nothingLeaks(directory)
  const last = cache.fill('last', 'token', producerOf(...pieces(bytes)), yes)
  last.entry.retain()
  t.equal(await last.ended, 'committed', 'then there is room again')
})
