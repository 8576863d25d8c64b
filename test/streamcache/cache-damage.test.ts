import t from 'tap'
import type { Test } from 'tap'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { StreamCacheOptions } from '../../src/streamcache/index.js'
import { eventually } from '../support/eventually.js'
import { footer } from '../support/footer.js'
import { bytesOf, collect, readUntil } from '../support/producers.js'
import {
  bodiesIn,
  filesIn,
  get,
  nothingLeaks,
  openCache,
  put,
  type TestCache,
} from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const bytes = bytesOf(1, 0, 700_000)

/** A cache that holds one committed entry, and the path of its file. */
async function withEntry(
  t: Test,
  changes: Partial<StreamCacheOptions> = {},
): Promise<TestCache & { path: string }> {
  const test = await openCache(t, changes)
  await put(test.cache, 'key', 'token', bytes)
  return { ...test, path: bodiesIn(test.directory)[0]! }
}

function flipByte(path: string, position: number): void {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, position)
  byte[0] = byte[0]! ^ 1
  writeSync(file, byte, 0, 1, position)
  closeSync(file)
}

t.test('a flipped byte is found before the entry answers, wherever it is', async (t) => {
  for (const hotMaxBytes of [0, 1 << 26]) {
    for (const position of [0, 300_000, bytes.length - 1]) {
      const { cache, directory, path, options } = await withEntry(t, { hotMaxBytes })
      await cache.close()
      flipByte(path, position)
      const again = await openCache(t, { ...options, directory })
      t.equal(again.cache.storeEntries, 1, 'its metadata is intact')
      t.equal(await get(again.cache, 'key'), undefined)
      t.same([again.cache.get('key'), again.events], [undefined, []])
      await eventually('the file is removed', () => filesIn(directory, 'entries').length === 0)
      await put(again.cache, 'key', 'token', bytes)
      t.ok((await get(again.cache, 'key'))?.equals(bytes))
      await nothingLeaks(directory)
    }
  }
})

t.test(
  'metadata that is removed or damaged under a running cache: its entry answers until it ends',
  async (t) => {
    for (const spoil of [rmSync, (path: string) => flipByte(path, 20)]) {
      const { cache, events, path, options } = await withEntry(t, { hotMaxBytes: 0 })
      spoil(`${path}.meta`)
      t.ok((await get(cache, 'key'))?.equals(bytes))
      t.same(events, [])
      await cache.close()
      const again = await openCache(t, options)
      t.same([events, again.cache.storeEntries], [['discarded corrupt'], 0])
      await put(again.cache, 'key', 'token', bytes)
      await nothingLeaks(options.directory)
    }
  },
)

t.test('a directory of an earlier version is emptied, and each file is counted', async (t) => {
  const { cache, directory, events } = await openCacheOver(t, (entries) => {
    for (let index = 0; index < 20; index++) {
      const body = bytesOf(index, 0, 1000 * index)
      const sha256 = createHash('sha256').update(body).digest('hex')
      const fields = { key: `${index}`, token: 'token', length: body.length, sha256, committedAt: Date.now() }
      writeFileSync(join(entries, `${index}.${'0'.repeat(36)}`), Buffer.concat([body, footer(fields)]))
    }
  })
  t.same(events, Array<string>(20).fill('discarded format'))
  t.same([cache.storeEntries, filesIn(directory, 'entries')], [0, []])
  await put(cache, '1', 'token', 'new')
  t.equal((await get(cache, '1'))?.toString(), 'new')
})

/** Opens a cache over a directory whose committed files the test writes. */
async function openCacheOver(t: Test, write: (entries: string) => void): Promise<TestCache> {
  const directory = tempDir(t)
  const entries = join(directory, 'instance-0', 'entries')
  mkdirSync(entries, { recursive: true })
  write(entries)
  return openCache(t, { directory })
}

t.test('of many requests for a damaged entry at once, none gets it, and it is discarded once', async (t) => {
  const { cache, path, options } = await withEntry(t)
  await cache.close()
  flipByte(path, 5)
  const events: string[] = []
  const again = await openCache(t, {
    ...options,
    events: { discarded: (reason) => events.push(reason) },
  })
  const answers = await Promise.all(Array.from({ length: 10 }, () => get(again.cache, 'key')))
  t.ok(answers.every((answer) => answer === undefined))
  t.same(events, ['corrupt'])
})

t.test('a file that is truncated or removed under a running cache is not served', async (t) => {
  for (const spoil of [rmSync, (path: string) => truncateSync(path, 1000)]) {
    const { cache, events, path } = await withEntry(t, { hotMaxBytes: 0 })
    spoil(path)
    t.equal(await get(cache, 'key'), undefined)
    t.same(events, ['discarded corrupt'])
  }
})

t.test('a flipped byte is found when an entry comes back into memory', async (t) => {
  const { cache, path } = await withEntry(t, { hotMaxBytes: 1 << 20 })
  await put(cache, 'other', 'token', bytesOf(2, 0, 700_000))
  flipByte(path, 300_000)
  t.equal(await get(cache, 'key'), undefined)
})

t.test(
  'a file that is truncated while it is read: its readers get an error, never a short end',
  async (t) => {
    const { cache, path } = await withEntry(t, { hotMaxBytes: 0 })
    const entry = cache.get('key')!
    const reader = entry.follow()
    t.ok(await entry.load())
    await readUntil(reader, 1)
    truncateSync(path, 200_000)
    await t.rejects(collect(reader), /truncated/)
  },
)

t.test('at open, what a crash left is discarded and counted by reason; the rest is served', async (t) => {
  const { cache, directory, path, options } = await withEntry(t)
  await put(cache, 'cut', 'token', bytes)
  await cache.close()
  const entries = join(directory, 'instance-0', 'entries')
  truncateSync(
    bodiesIn(directory).find((each) => each !== path)!,
    1000,
  )
  writeFileSync(join(entries, 'garbage'), bytesOf(3, 0, 5000))
  // The crash fell between the metadata and the rename of its body.
  copyFileSync(`${path}.meta`, join(entries, 'growing.meta'))
  writeFileSync(join(directory, 'instance-0', 'temp', 'growing'), 'abc')
  const events: string[] = []
  const again = await openCache(t, { ...options, events: { discarded: (reason) => events.push(reason) } })
  t.same(events.sort(), ['corrupt', 'temp', 'temp', 'truncated'])
  t.same([filesIn(directory, 'temp'), readdirSync(entries).length], [[], 2])
  t.ok((await get(again.cache, 'key'))?.equals(bytes))
  t.equal(again.cache.get('cut'), undefined)
})
