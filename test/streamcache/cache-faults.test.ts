import t from 'tap'
import type { Test } from 'tap'
import { copyFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { breakFs, operations, systemError } from '../support/broken-fs.js'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, ManualProducer, readUntil, producerOf } from '../support/producers.js'
import { bodiesIn, filesIn, get, no, nothingLeaks, openCache, put, yes } from '../support/stream-cache.js'

const bytes = bytesOf(1, 0, 700_000)

/** Does a request get the right bytes, from a committed entry or from a fill? false: its stream ended with an error. */
async function answered(cache: Parameters<typeof get>[0], key: string): Promise<boolean> {
  const got = await answer(cache, key).catch((error: unknown) => {
    if (/made up|does not answer/.test(String(error))) return undefined
    throw error
  })
  if (got && !got.equals(bytes)) throw new Error('wrong bytes')
  return got !== undefined
}

async function answer(cache: Parameters<typeof get>[0], key: string): Promise<Buffer> {
  const held = await get(cache, key)
  if (held) return held
  const { entry, ended } = cache.fill(key, 'token', producerOf(bytes), yes)
  const answered = await collect(entry.follow())
  await ended
  return answered
}

t.test(
  'whatever operation fails, with whatever error: requests are served, and nothing is lost for good',
  async (t) => {
    for (const [index, code] of ['ENOSPC', 'EIO', 'EMFILE', 'EACCES'].entries()) {
      for (const operation of operations) {
        const hotMaxBytes = index % 2 === 0 ? 0 : 1 << 26
        const { cache, directory, events } = await openCache(t, { hotMaxBytes, minFreeBytes: 1 })
        await put(cache, 'old', 'token', bytes)
        const disk = await breakFs(t)
        disk.decide = (what) => (what === operation ? systemError(code) : undefined)
        const name = `${code} on ${operation}`
        // Bytes that have left memory can only come from the disk.
        const mayBreak = operation === 'read' && hotMaxBytes === 0
        for (const key of ['old', 'new']) t.ok((await answered(cache, key)) || mayBreak, `${name}: ${key}`)
        disk.decide = () => undefined
        t.ok((await answer(cache, 'new')).equals(bytes))
        await eventually(`${name}: all is stored again`, async () => {
          await put(cache, 'old', `${performance.now()}`, bytes)
          await sleep(5)
          return cache.storeEntries === 2 && filesIn(directory, 'entries').length === 2
        })
        t.ok(
          events.every((event) => !event.startsWith('discarded')),
          `${name}: no proof of damage`,
        )
        await nothingLeaks(directory)
        await cache.close()
      }
    }
  },
)

t.test('an entry that cannot be read does not answer, is reported, and its file stays', async (t) => {
  for (const hotMaxBytes of [0, 1 << 26]) {
    const first = await openCache(t, { hotMaxBytes })
    await put(first.cache, 'key', 'token', bytes)
    await first.cache.close()
    const { cache, directory } = await openCache(t, first.options)
    const disk = await breakFs(t)
    disk.decide = (what) => (what === 'open' ? systemError('EMFILE') : undefined)
    const answers = await Promise.all(Array.from({ length: 10 }, () => get(cache, 'key')))
    t.ok(answers.every((each) => each === undefined))
    t.equal(cache.get('key'), undefined, 'it is suspended')
    t.same([cache.storeEntries, filesIn(directory, 'entries').length], [1, 1])
    disk.decide = () => undefined
    await eventually('it is tried again', () => cache.get('key') !== undefined)
    t.ok((await get(cache, 'key'))?.equals(bytes))
  }
})

t.test('a fill of the same state replaces an entry that cannot be read, and is no loser', async (t) => {
  const { cache, directory, events } = await openCache(t, { hotMaxBytes: 0 })
  await put(cache, 'key', 'token', bytes)
  const disk = await breakFs(t)
  disk.decide = (what) => (what === 'open' ? systemError('EIO') : undefined)
  t.equal(await get(cache, 'key'), undefined)
  disk.decide = () => undefined
  await put(cache, 'key', 'token', bytes)
  t.ok((await get(cache, 'key'))?.equals(bytes), 'it answers at once')
  t.same(events, ['storeFailed read', 'evicted superseded'])
  await eventually('one file is left', () => filesIn(directory, 'entries').length === 1)
})

t.test('files that could not be removed are removed when the disk works again', async (t) => {
  const { cache, directory, events } = await openCache(t)
  await put(cache, 'key', 'one', bytes)
  const disk = await breakFs(t)
  disk.decide = (what) => (what === 'rm' ? systemError('EROFS') : undefined)
  await put(cache, 'key', 'two', bytes)
  await cache.fill('other', 'token', producerOf(bytes), no).ended
  await eventually(
    'both are reported',
    () => events.filter((event) => event === 'storeFailed remove').length === 2,
  )
  t.same([filesIn(directory, 'entries').length, filesIn(directory, 'temp').length], [2, 1])
  disk.decide = () => undefined
  await put(cache, 'third', 'token', bytes)
  await eventually('they are gone', () => filesIn(directory, 'entries').length === 2)
  await nothingLeaks(directory)
})

/** A cache whose only entry is larger than its memory, and the path of its file. */
async function withColdEntry(t: Test): Promise<Awaited<ReturnType<typeof openCache>> & { path: string }> {
  const test = await openCache(t, { hotMaxBytes: 0 })
  await put(test.cache, 'key', 'token', bytes)
  await nothingLeaks(test.directory)
  return {
    ...test,
    path: bodiesIn(test.directory)[0]!,
  }
}

t.test(
  'a large entry whose file is replaced is verified again: the same bytes answer, others do not',
  async (t) => {
    const { cache, path, events } = await withColdEntry(t)
    copyFileSync(path, `${path}.copy`)
    renameSync(`${path}.copy`, path)
    t.ok((await get(cache, 'key'))?.equals(bytes), 'a copy')
    utimesSync(path, 1, 1)
    t.ok((await get(cache, 'key'))?.equals(bytes), 'touched')
    t.same(events, [])

    const { path: another } = await withColdEntry(t)
    const other = await openCache(t, { hotMaxBytes: 0 })
    await put(other.cache, 'key', 'token', bytesOf(2, 0, bytes.length))
    const foreign = bodiesIn(other.directory)[0]!
    t.equal(statSync(foreign).size, statSync(another).size, 'as long as the one it replaces')
    renameSync(foreign, path)
    t.equal(await get(cache, 'key'), undefined)
    t.same(events, ['discarded corrupt'])
  },
)

t.test(
  'a disk that hangs: requests are answered, later ones at once, and it is used when it is back',
  async (t) => {
    for (const operation of operations) {
      const { cache, directory } = await openCache(t, { hotMaxBytes: 0, minFreeBytes: 1, fillSilenceMs: 200 })
      await eventually('it is stored', async () => (await answer(cache, 'old'), cache.storeEntries === 1))
      const disk = await breakFs(t)
      disk.decide = (what) => (what === operation ? 'hang' : undefined)
      for (const key of ['old', 'new', 'newer']) {
        t.ok((await answered(cache, key)) || operation === 'read', `${operation}: ${key}`)
      }
      t.ok(disk.hanging <= 3, `${operation}: ${disk.hanging} threads hang`)
      disk.decide = () => undefined
      disk.release()
      await eventually(`${operation}: it is used again`, async () => {
        await sleep(5)
        return (await cache.fill('last', 'token', producerOf(bytes), yes).ended) === 'committed'
      })
      // On a busy machine, a disk that answers may take longer than the limit.
      await eventually(`${operation}: it is read`, async () => {
        const read = await get(cache, 'last').catch(() => undefined)
        return read?.equals(bytes) === true
      })
      await eventually(`${operation}: nothing came late and stayed`, async () => {
        await cache.fill('last', `${performance.now()}`, producerOf('abc'), yes).ended
        await sleep(5)
        return filesIn(directory, 'entries').length === cache.storeEntries
      })
      await nothingLeaks(directory).catch((error: unknown) => t.fail(`${operation}: ${error}`))
      await cache.close()
    }
  },
)

t.test('a disk that hangs under a reader: its stream ends with an error, in time', async (t) => {
  const { cache } = await openCache(t, { hotMaxBytes: 0, fillSilenceMs: 200 })
  await put(cache, 'key', 'token', bytes)
  const entry = cache.get('key')!
  const reader = entry.follow()
  t.ok(await entry.load())
  await readUntil(reader, 1)
  const disk = await breakFs(t)
  disk.decide = (what) => (what === 'read' ? 'hang' : undefined)
  await t.rejects(collect(reader), /does not answer/)
})

t.test('a system clock that is set changes no age in a running process', async (t) => {
  const { cache, events } = await openCache(t)
  const day = 86_400_000
  await put(cache, 'before', 'token', 'abc')
  for (const jump of [-day, 365 * day]) {
    const now = Date.now() + jump
    const clock = t.capture(Date, 'now', () => now)
    await put(cache, `${jump}`, 'token', 'abc')
    for (const key of ['before', `${jump}`]) t.ok(cache.get(key))
    clock.restore()
    for (const key of ['before', `${jump}`]) t.ok(cache.get(key))
  }
  t.same(events, [])
})

t.test('entries from the future count as new after one restart, and not again after the next', async (t) => {
  const year = 365 * 86_400_000
  const { cache, options, directory } = await openCache(t)
  const clock = t.capture(Date, 'now', () => performance.timeOrigin + performance.now() + year)
  await put(cache, 'key', 'token', 'abc')
  clock.restore()
  await cache.close()
  const path = `${bodiesIn(directory)[0]}.meta`
  const ahead = Date.now() / 1000 + 365 * 86_400
  utimesSync(path, ahead, ahead)
  const again = await openCache(t, options)
  t.ok(again.cache.get('key'))
  await again.cache.close()
  // As if the process had not run for longer than the age of an entry.
  utimesSync(path, Date.now() / 1000 - 7200, Date.now() / 1000 - 7200)
  const third = await openCache(t, options)
  await eventually('its age has been counted on', () => third.cache.get('key') === undefined)
})

t.test('a directory that is moved away and comes back', async (t) => {
  const { cache, directory, events } = await openCache(t, { hotMaxBytes: 0 })
  await put(cache, 'key', 'token', bytes)
  const producer = new ManualProducer().push(bytes.subarray(0, 100))
  const running = cache.fill('running', 'token', producer.run, yes)
  const follower = running.entry.follow()
  await readUntil(follower, 100)
  renameSync(directory, `${directory}.away`)
  t.teardown(() => rmSync(`${directory}.away`, { recursive: true, force: true }))
  producer.push(bytes.subarray(100)).end()
  await running.ended
  follower.close()
  t.ok((await answer(cache, 'key')).equals(bytes))
  rmSync(directory, { recursive: true, force: true })
  renameSync(`${directory}.away`, directory)
  t.ok((await answer(cache, 'key')).equals(bytes))
  await eventually('it stores again', async () => {
    return (await cache.fill('last', 'token', producerOf(bytes), yes).ended) === 'committed'
  })
  t.ok((await get(cache, 'last'))?.equals(bytes))
  t.ok(events.length > 0)
  t.ok(readdirSync(directory).length > 0)
})
