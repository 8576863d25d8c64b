import t, { type Test } from 'tap'
import { PackCache, type PackRequest } from '../../src/freshness/pack-cache.js'
import type { Fill } from '../../src/streamcache/index.js'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, ManualProducer, pending, producerOf, readUntil } from '../support/producers.js'
import { openCache, yes, type TestCache } from '../support/stream-cache.js'

const mib = 1024 * 1024

interface Rig extends TestCache {
  readonly packs: PackCache
  /** The fills so far. */
  readonly fills: Fill[]
  readonly request: (changes?: Partial<PackRequest>) => PackRequest
}

async function open(
  t: Test,
  { maxBytes, ...options }: { maxAgeMs?: number; graceMs?: number; maxBytes?: number } = {},
): Promise<Rig> {
  const test = await openCache(t, {
    ...{ memoryFirst: true, maxLeadBytes: 4 * mib },
    ...(maxBytes === undefined ? {} : { maxBytes }),
  })
  const fills: Fill[] = []
  const packs = new PackCache({ cache: test.cache, maxAgeMs: 300_000, graceMs: 600_000, ...options })
  const request: Rig['request'] = (changes = {}) => ({
    repository: '/srv/r.git',
    name: 'name',
    maxAgeMs: Infinity,
    producer: producerOf('pack'),
    confirm: yes,
    fillStarted: (fill) => fills.push(fill),
    ...changes,
  })
  return { ...test, packs, fills, request }
}

t.test('requests with one name share a fill while it runs, and what it made afterwards', async (t) => {
  const { packs, fills, request } = await open(t)
  const producer = new ManualProducer().push(Buffer.from('pa'))
  const asked = request({ producer: producer.run })
  const first = await packs.read(asked)
  const second = await packs.read(request())
  t.same([first.reuse, second.reuse, fills.length], ['filled', 'joined', 1])
  producer.push(Buffer.from('ck')).end()
  const bodies = await Promise.all([first, second].map(({ follower }) => collect(follower)))
  t.same(bodies.map(String), ['pack', 'pack'])
  t.equal(await fills[0]!.ended, 'committed')
  const third = await packs.read(request())
  t.same([third.reuse, String(await collect(third.follower)), fills.length], ['hit', 'pack', 1])
})

t.test('another name, or another repository, never shares', async (t) => {
  const { packs, fills, request } = await open(t)
  for (const changes of [{}, { name: 'other' }, { repository: '/srv/s.git' }]) {
    const { reuse, follower } = await packs.read(request(changes))
    t.equal(reuse, 'filled')
    await collect(follower)
  }
  t.equal(fills.length, 3)
})

t.test(
  'an answer that is not confirmed, or with an age limit of 0, is shared only while it grows',
  async (t) => {
    const twice = async (rig: Rig, changes: Partial<PackRequest>): Promise<void> => {
      for (const count of [1, 2]) {
        const asked = rig.request({ producer: producerOf('pack'), ...changes })
        const { reuse, follower } = await rig.packs.read(asked)
        await collect(follower)
        t.same([reuse, await rig.fills.at(-1)!.ended, rig.fills.length], ['filled', 'unshared', count])
      }
    }
    await twice(await open(t), { confirm: async () => false })
    await twice(await open(t, { maxAgeMs: 0 }), {})
  },
)

t.test('an entry that is older than the request allows does not answer', async (t) => {
  const { packs, fills, request } = await open(t)
  await collect((await packs.read(request())).follower)
  await fills[0]!.ended
  t.equal((await packs.read(request({ maxAgeMs: 60_000 }))).reuse, 'hit')
  t.equal((await packs.read(request({ maxAgeMs: -1 }))).reuse, 'filled')
})

t.test('a fill that began too long ago is not joined', async (t) => {
  const { packs, request } = await open(t)
  const producer = new ManualProducer().push(Buffer.from('pa'))
  const first = await packs.read(request({ producer: producer.run }))
  const second = await packs.read(request({ maxAgeMs: 60_000 }))
  const third = await packs.read(request({ maxAgeMs: -1 }))
  t.same([first.reuse, second.reuse, third.reuse], ['filled', 'joined', 'filled'])
  producer.end()
  const bodies = await Promise.all([first, second, third].map(({ follower }) => collect(follower)))
  t.same(bodies.map(String), ['pa', 'pa', 'pack'])
})

t.test('a client that comes when the beginning is gone gets a fill of its own, which is kept', async (t) => {
  const { packs, fills, request } = await open(t)
  const bytes = bytesOf(1, 0, 20 * mib)
  const producer = new ManualProducer()
  const first = await packs.read(request({ producer: producer.run }))
  for (let at = 0; at < 10 * mib; at += mib) {
    producer.push(bytes.subarray(at, at + mib))
    await readUntil(first.follower, at + mib)
  }
  const second = await packs.read(request({ producer: producerOf(bytes) }))
  t.same([second.reuse, fills.length], ['filled', 2])
  const third = await packs.read(request())
  t.equal(third.reuse, 'joined', 'the new fill is the one that is joined')
  const bodies = await Promise.all([second, third].map(({ follower }) => collect(follower)))
  t.ok(bodies.every((body) => body.equals(bytes)))
  t.equal(await fills[1]!.ended, 'committed')
  producer.push(bytes.subarray(10 * mib)).end()
  t.equal((await collect(first.follower)).length, 10 * mib)
  t.equal(await fills[0]!.ended, 'unstored')
  t.equal((await packs.read(request())).reuse, 'hit')
})

t.test('a fill ends when its last client has left, after the grace time', async (t) => {
  const { packs, fills, request } = await open(t, { graceMs: 0 })
  const producer = new ManualProducer().push(Buffer.from('pa'))
  const { entry, follower } = await packs.read(request({ producer: producer.run }))
  await follower.read()
  follower.close()
  t.equal(await fills[0]!.ended, 'failed')
  t.match(entry.error, { fault: 'unread' })
  await eventually('the producer has ended', () => producer.over)
})

t.test('a fill that waits to begin ends as soon as its last client has left', async (t) => {
  const { packs, fills, request } = await open(t)
  const producer = new ManualProducer()
  const readings = [await packs.read(request({ producer: producer.run })), await packs.read(request())]
  for (const { follower } of readings) follower.close()
  t.equal(await fills[0]!.ended, 'failed')
  t.equal((await packs.read(request())).reuse, 'filled')
})

t.test('a fill that no client could join any more ends as soon as its client has left', async (t) => {
  const { packs, fills, request } = await open(t)
  const producer = new ManualProducer()
  const { entry, follower } = await packs.read(request({ producer: producer.run }))
  for (let at = 0; entry.joinable; at += mib) {
    producer.push(bytesOf(3, at, mib))
    await readUntil(follower, at + mib)
  }
  t.ok(await pending(fills[0]!.ended))
  follower.close()
  t.equal(await fills[0]!.ended, 'failed')
  t.match(entry.error, { fault: 'unread' })
  await eventually('the producer has ended', () => producer.over)
})

t.test('a client that comes within the grace time goes on with the fill', async (t) => {
  const { packs, fills, request } = await open(t)
  const producer = new ManualProducer().push(Buffer.from('pa'))
  const { follower } = await packs.read(request({ producer: producer.run }))
  await follower.read()
  follower.close()
  const second = await packs.read(request())
  t.equal(second.reuse, 'joined')
  producer.push(Buffer.from('ck')).end()
  t.equal(String(await collect(second.follower)), 'pack')
  t.equal(await fills[0]!.ended, 'committed')
})

t.test('a fill whose key repeats goes on without clients', async (t) => {
  const { packs, fills, request } = await open(t, { graceMs: 0 })
  const bytes = bytesOf(2, 0, 12 * mib)
  const producer = new ManualProducer().push(bytes.subarray(0, mib))
  const readings = [await packs.read(request({ producer: producer.run })), await packs.read(request())]
  await readings[0]!.follower.read()
  for (const { follower } of readings) follower.close()
  t.ok(await pending(fills[0]!.ended))
  producer.push(bytes.subarray(mib)).end()
  t.equal(await fills[0]!.ended, 'committed')
  t.equal((await packs.read(request())).reuse, 'hit')
})

t.test('a fill whose key repeats ends without clients if there is no room for what it makes', async (t) => {
  const { packs, fills, request } = await open(t, { graceMs: 0, maxBytes: 0 })
  const producer = new ManualProducer().push(bytesOf(3, 0, mib))
  const readings = [await packs.read(request({ producer: producer.run })), await packs.read(request())]
  for (const { follower } of readings) follower.close()
  producer.push(bytesOf(4, 0, 8 * mib))
  t.equal(await fills[0]!.ended, 'failed')
  t.match(readings[0]!.entry.error, { fault: 'unread' })
})

t.test('packs of a repository are dropped: kept ones, and those that are being made', async (t) => {
  const { packs, fills, cache, request } = await open(t)
  const read = async (changes: Partial<PackRequest>): Promise<void> => {
    await collect((await packs.read(request({ producer: producerOf('pack'), ...changes }))).follower)
  }
  await read({})
  await read({ name: 'other' })
  await read({ repository: '/srv/s.git' })
  t.same(packs.kept('/srv/r.git'), { count: 2, bytes: 8 })
  const producer = new ManualProducer().push(Buffer.from('pack'))
  const growing = await packs.read(request({ name: 'third', producer: producer.run }))
  packs.forget('/srv/r.git')
  t.equal(cache.storeEntries, 1)
  t.equal((await packs.read(request({ name: 'third' }))).reuse, 'filled', 'a growing one is not joined')
  producer.end()
  t.equal(String(await collect(growing.follower)), 'pack', 'it serves those who read it')
  t.equal(await fills[3]!.ended, 'unshared')
  t.equal((await packs.read(request({ repository: '/srv/s.git' }))).reuse, 'hit')
})
