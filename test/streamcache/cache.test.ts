import t from 'tap'
import { readFileSync, statSync } from 'node:fs'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, ManualProducer, pending, readUntil, producerOf } from '../support/producers.js'
import {
  bodiesIn,
  filesIn,
  get,
  no,
  nothingLeaks,
  openCache,
  openFilesUnder,
  put,
  yes,
} from '../support/stream-cache.js'

t.test('a confirmed fill is committed and answers from then on', async (t) => {
  const { cache, directory, events } = await openCache(t)
  const producer = new ManualProducer()
  const { entry, ended } = cache.fill('key', 'token', producer.run, yes)
  const follower = entry.follow()
  t.equal(cache.get('key'), undefined, 'not before its end')
  producer.push(Buffer.from('abc'))
  await readUntil(follower, 3)
  producer.end()
  t.equal(await ended, 'committed')
  t.equal(cache.get('key'), entry)
  t.equal(cache.get('other'), undefined)
  t.equal((await get(cache, 'key'))?.toString(), 'abc')
  t.equal(cache.storeEntries, 1)
  t.equal(cache.hotBytes, 3)
  const [body] = bodiesIn(directory)
  t.equal(readFileSync(body!, 'utf8'), 'abc', 'the file of an entry is its bytes')
  t.equal(cache.storeBytes, 3 + statSync(`${body}.meta`).size)
  t.equal(cache.followers, 1)
  t.equal(await follower.read(), null)
  follower.close()
  t.equal(cache.followers, 0)
  await nothingLeaks(directory)
  t.same(events, [])
})

t.test(
  'a fill that is not confirmed, or too large, is not committed and serves its own followers',
  async (t) => {
    const { cache, directory, events } = await openCache(t, { maxBytes: 1000 })
    const large = bytesOf(1, 0, 900)
    const broken = (): Promise<boolean> => Promise.reject(new Error('cannot observe'))
    const tries = [
      [undefined, large, yes, 'unshared'],
      ['token', large, no, 'unshared'],
      ['token', large, broken, 'unshared'],
      ['token', large, yes, 'unstored'], // With its metadata, it is larger than the store.
    ] as const
    for (const [token, bytes, confirm, result] of tries) {
      const { entry, ended } = cache.fill('key', token, producerOf(bytes), confirm)
      const follower = entry.follow()
      t.equal(await ended, result)
      t.ok((await collect(follower)).equals(bytes))
      t.equal(cache.get('key'), undefined)
    }
    const failed = cache.fill('key', 'token', new ManualProducer().push(large).fail().run, async () =>
      t.fail('a failed fill needs no confirmation'),
    )
    const follower = failed.entry.follow()
    t.equal(await failed.ended, 'failed')
    await t.rejects(collect(follower), { name: 'FillError', fault: 'producer' })
    t.equal(cache.get('key'), undefined)

    await nothingLeaks(directory)
    t.same([cache.hotBytes, cache.storeBytes, filesIn(directory, 'entries').length], [0, 0, 0])
    t.same(events, [])
  },
)

t.test('the second fill of a state is a loser: the first stays', async (t) => {
  const { cache, directory } = await openCache(t)
  const late = new ManualProducer()
  const loser = cache.fill('key', 'token', late.run, yes)
  const follower = loser.entry.follow()
  const { entry } = await put(cache, 'key', 'token', 'abc')
  late.push(Buffer.from('abc')).end()
  t.equal(await loser.ended, 'loser')
  t.equal((await collect(follower)).toString(), 'abc')
  t.equal(cache.get('key'), entry)
  await nothingLeaks(directory)
  await eventually('1 files are left', () => filesIn(directory, 'entries').length === 1)
})

t.test('a slow follower delays neither the fill nor its commit nor others', async (t) => {
  const { cache } = await openCache(t, { hotMaxBytes: 1 << 20 })
  const bytes = bytesOf(1, 0, 8 << 20)
  const { entry, ended } = cache.fill(
    'key',
    'token',
    producerOf(bytes.subarray(0, 1 << 22), bytes.subarray(1 << 22)),
    yes,
  )
  const [slow, gone, fast] = [entry.follow(), entry.follow(), entry.follow()]
  await gone.read()
  gone.close()
  t.ok((await collect(fast)).equals(bytes))
  t.equal(await ended, 'committed')
  t.ok((await get(cache, 'key'))?.equals(bytes))
  t.equal(slow.offset, 0)
  t.ok((await collect(slow)).equals(bytes))
})

t.test('closing stops running fills, keeps committed entries, and leaves nothing else', async (t) => {
  const { cache, directory, events, options } = await openCache(t)
  await put(cache, 'key', 'token', 'abc')
  const running = new ManualProducer().push(Buffer.from('abc'))
  const { entry, ended } = cache.fill('other', 'token', running.run, yes)
  const follower = entry.follow()
  await readUntil(follower, 3)
  const failed = t.rejects(collect(follower), { name: 'FillError', fault: 'closed' })
  await cache.close()
  await failed
  t.equal(await ended, 'failed')
  t.ok(running.over)
  const after = cache.fill('key', 'later', () => t.fail('started') as never, yes)
  t.throws(() => after.entry.follow(), { name: 'FillError', fault: 'closed' })
  t.equal(await after.ended, 'failed')

  await nothingLeaks(directory)
  const again = await openCache(t, options)
  t.equal((await get(again.cache, 'key'))?.toString(), 'abc')
  t.same([again.cache.storeEntries, again.cache.followers, events], [1, 0, []])
})

t.test('when close() has resolved, temp/ is empty', async (t) => {
  const { cache, directory } = await openCache(t)
  for (const key of ['a', 'b', 'c'])
    cache.fill(key, 'token', new ManualProducer().push(Buffer.from('x')).run, yes)
  await cache.close()
  t.same(filesIn(directory, 'temp'), [])
  t.same(openFilesUnder(directory), [])
})

t.test('while a fill waits for its confirmation it may be joined, but is not yet committed', async (t) => {
  const { cache } = await openCache(t)
  let confirm!: (state: boolean) => void
  const confirmed = new Promise<boolean>((resolve) => (confirm = resolve))
  let asked!: () => void
  const ask = new Promise<void>((resolve) => (asked = resolve))
  const { entry, ended } = cache.fill('key', 'token', producerOf('abc'), () => {
    asked()
    return confirmed
  })
  await ask
  t.equal(cache.get('key'), undefined)
  t.ok(entry.joinable)
  t.equal((await collect(entry.follow())).toString(), 'abc')
  t.ok(await pending(ended))
  confirm(true)
  t.equal(await ended, 'committed')
  t.equal(cache.get('key'), entry)
})
