import t from 'tap'
import { ropeOf } from '../../src/origin/listing-ropes.js'
import { RefListings } from '../../src/origin/ref-listings.js'
import { RefListing } from '../../src/git/protocol/ref-listing.js'
import { Revision, type Entry, type StreamCache } from '../../src/streamcache/index.js'
import { breakFs, systemError } from '../support/broken-fs.js'
import { eventually } from '../support/eventually.js'
import { ManualProducer, pending } from '../support/producers.js'
import { reviseWith } from '../support/ropes.js'
import { openCache } from '../support/stream-cache.js'

t.test('short listings of former states are dropped too', async (t) => {
  const { cache } = await openCache(t)
  const maxBytes = 100_000
  const listings = new RefListings(maxBytes)
  const line = `${'a'.repeat(40)} refs/heads/main\n`
  const answer = Buffer.from(`${(line.length + 4).toString(16).padStart(4, '0')}${line}0000`)
  const entries: Entry[] = []
  for (let state = 0; state < 100; state++) {
    const source = async function* () {
      yield answer
    }
    const { entry, ended } = cache.fill('k', `${state}`, source, async () => true)
    const listing = listings.of(entry)
    await ended
    await eventually('read', () => listing.complete)
    entries.push(entry)
  }
  await eventually('the last is kept', () => listings.holds(entries.at(-1)!))
  t.ok(entries.filter((entry) => listings.holds(entry)).length < 30, 'each takes some four kilobytes')
  t.ok(listings.bytes <= maxBytes)
})

t.test('a listing knows what it is read from, and its end', async (t) => {
  const { cache } = await openCache(t)
  const listings = new RefListings(100_000)
  const producer = new ManualProducer()
  const { entry } = cache.fill('k', 's', producer.run, async () => true)
  const listing = listings.of(entry)
  t.equal(listing.entry, entry)
  const end = listing.end()
  producer.push(Buffer.from('0000'))
  t.equal(await pending(end), true)
  producer.end()
  await end
  await listing.end()
  const failing = new ManualProducer()
  const failed = listings.of(cache.fill('l', 's', failing.run, async () => true).entry).end()
  failing.fail()
  await t.rejects(failed, { name: 'FillError' })
})

/** Commits the listing of so many branches as a rope. */
async function commitRope(cache: StreamCache, key: string, branches: number): Promise<Entry> {
  const listing = new RefListing()
  for (let branch = 0; branch < branches; branch++)
    listing.append(Buffer.from(`0040${'a'.repeat(40)} refs/heads/${String(branch).padStart(7, '0')}\n`))
  listing.append(Buffer.from('0000'))
  const { entry, ended } = reviseWith(cache, key, 'token', new Revision(ropeOf(listing)))
  t.equal(await ended, 'committed')
  return entry
}

t.test('a rope counts as memory once: as a listing while there is one, else as an entry', async (t) => {
  const disk = await breakFs(t)
  // What cannot be stored stays in memory.
  disk.decide = () => systemError('EIO')
  const { cache, events } = await openCache(t, { hotMaxBytes: 200_000 })
  const listings = new RefListings(100_000)
  const read = async (entry: Entry): Promise<void> => {
    const listing = listings.of(entry)
    await listing.end()
    await eventually('it is kept', () => listings.bytes > 0)
  }
  const first = await commitRope(cache, 'first', 1000)
  t.equal(cache.hotBytes, first.length, 'nothing has asked for its listing')
  await read(first)
  t.equal(cache.hotBytes, 0)
  const second = await commitRope(cache, 'second', 1000)
  await read(second)
  await eventually('the first gives way', () => !listings.holds(first))
  t.equal(cache.hotBytes, first.length, 'it is in memory, and counts')
  listings.forget(second)
  t.equal(cache.hotBytes, first.length + second.length)
  const large = await commitRope(cache, 'large', 2000)
  await eventually('memory has a limit', () => cache.hotBytes <= 200_000 && events.includes('evicted memory'))
  await read(large)
  await read(await commitRope(cache, 'larger', 2500))
  t.ok(
    large.rope === undefined || cache.hotBytes >= large.length,
    'only one listing may be larger than the limit',
  )
  await cache.close()
})
