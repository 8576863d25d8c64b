import t from 'tap'
import { RefListings } from '../../src/origin/ref-listings.js'
import type { Entry } from '../../src/streamcache/index.js'
import { eventually } from '../support/eventually.js'
import { ManualProducer, pending } from '../support/producers.js'
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
