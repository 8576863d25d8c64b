import t from 'tap'
import type { Test } from 'tap'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { encodeMetadata } from '../../src/streamcache/disk/metadata.js'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, ManualProducer, readUntil } from '../support/producers.js'
import {
  bodiesIn,
  filesIn,
  get,
  nothingLeaks,
  openCache,
  put,
  yes,
  type TestCache,
} from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const keyOf = (version: number, index: number): string => `v${version} ${String(index).padStart(6, '0')}`

/** The metadata of an entry with a body of its own. */
function metadataOf(index: number): Buffer {
  const body = bodyOf(index)
  const sha256 = createHash('sha256').update(body).digest('hex')
  return encodeMetadata({
    ...{ key: keyOf(0, index), token: 'token', length: body.length },
    ...{ sha256, committedAt: 1e12 },
  })
}

const bodyOf = (index: number): Buffer =>
  Buffer.from(`003f${String(index).padStart(40, '0')} refs/heads/main\n0000`)

const size = bodyOf(0).length + metadataOf(0).length

/** What is done to byte `at` of an entry's two files. */
const masks = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x55]

t.test(
  'after a restart nothing wrong is served, whichever bit of a body or its metadata was flipped',
  async (t) => {
    for (const hotMaxBytes of [0, 1 << 26]) {
      const directory = tempDir(t)
      const entries = join(directory, 'instance-0', 'entries')
      mkdirSync(entries, { recursive: true })
      const count = size * masks.length
      for (let index = 0; index < count; index++) {
        const [body, metadata] = [bodyOf(index), metadataOf(index)]
        const at = Math.floor(index / masks.length)
        const mask = masks[index % masks.length]!
        if (at < body.length) body[at]! ^= mask
        else metadata[at - body.length]! ^= mask
        writeFileSync(join(entries, String(index)), body)
        writeFileSync(join(entries, `${index}.meta`), metadata)
      }
      writeFileSync(join(entries, 'sound'), bodyOf(count))
      writeFileSync(join(entries, 'sound.meta'), metadataOf(count))
      const { cache, events } = await openCache(t, { directory, hotMaxBytes, maxAgeMs: 1e13 })
      const adopted = cache.storeEntries
      t.ok(
        adopted <= 1 + bodyOf(0).length * masks.length,
        'only entries with a changed body have intact metadata',
      )
      t.equal(adopted + events.length, count + 1)
      let wrong = 0
      for (let index = 0; index < count; index++) {
        for (const version of [0, 1]) if (await get(cache, keyOf(version, index))) wrong++
      }
      t.equal(wrong, 0)
      t.ok((await get(cache, keyOf(0, count)))?.equals(bodyOf(count)), 'the intact entry answers')
      t.same([cache.storeEntries, events.length], [1, count])
      await eventually('the others are removed', () => filesIn(directory, 'entries').length === 1)
      await nothingLeaks(directory)
    }
  },
)

t.test('files that were renamed, copied, linked or extended', async (t) => {
  const changes: [name: string, change: (one: string, other: string) => void, gone: string[]][] = [
    ['the name of another', (one, other) => renameSync(one, other), ['one', 'other']],
    [
      'the name of another, metadata too',
      (one, other) => (renameSync(one, other), renameSync(`${one}.meta`, `${other}.meta`)),
      ['other'],
    ],
    ['exchanged names', exchange, ['one', 'other']],
    [
      'exchanged names, metadata too',
      (one, other) => (exchange(one, other), exchange(`${one}.meta`, `${other}.meta`)),
      [],
    ],
    ['exchanged metadata', (one, other) => exchange(`${one}.meta`, `${other}.meta`), ['one', 'other']],
    ['a copy', (one) => copyFileSync(one, `${one}.copy`), []],
    [
      'a copy, metadata too',
      (one) => (copyFileSync(one, `${one}.copy`), copyFileSync(`${one}.meta`, `${one}.copy.meta`)),
      [],
    ],
    ['a link', (one) => linkSync(one, `${one}.link`), []],
    [
      'a link, metadata too',
      (one) => (linkSync(one, `${one}.link`), linkSync(`${one}.meta`, `${one}.link.meta`)),
      [],
    ],
    ['a byte behind', (one) => appendFileSync(one, '\n'), ['one']],
    ['another behind', (one, other) => appendFileSync(one, readFileSync(other)), ['one']],
    ['the body of another entry', (one, other) => copyFileSync(other, one), ['one']],
    [
      'the metadata of another entry',
      (one, other) => copyFileSync(`${other}.meta`, `${one}.meta`),
      ['one', 'other'],
    ],
    ['the metadata behind the body', (one) => appendFileSync(one, readFileSync(`${one}.meta`)), ['one']],
  ]
  for (const [name, change, gone] of changes) {
    for (const hotMaxBytes of [0, 1 << 26]) {
      const bodies: Record<string, Buffer> = { one: bytesOf(1, 0, 1000), other: bytesOf(2, 0, 1000) }
      const first = await openCache(t, { hotMaxBytes })
      await put(first.cache, 'one', 'token', bodies['one']!)
      const one = pathsOf(first)[0]!
      await put(first.cache, 'other', 'token', bodies['other']!)
      const other = pathsOf(first).find((path) => path !== one)!
      await first.cache.close()
      change(one, other)
      const { cache } = await openCache(t, first.options)
      for (const [key, body] of Object.entries(bodies)) {
        const answer = await get(cache, key)
        t.ok(answer?.equals(body) ?? gone.includes(key), `${name}: ${key}`)
      }
    }
  }
})

const pathsOf = ({ directory }: TestCache): string[] => bodiesIn(directory)

/** Exchanges the names of two files. */
function exchange(one: string, other: string): void {
  renameSync(one, `${one}.away`)
  renameSync(other, one)
  renameSync(`${one}.away`, other)
}

const bytes = bytesOf(1, 0, 700_000)

/** Writes other bytes in place, and resets what stat(2) shows of the file. */
function changeInPlace(path: string, at: number): void {
  const { atime, mtime } = statSync(path)
  const changed = readFileSync(path)
  changed[at]! ^= 1
  writeFileSync(path, changed, { flag: 'r+' })
  utimesSync(path, atime, mtime)
}

async function withColdEntry(t: Test): Promise<TestCache & { path: string }> {
  const test = await openCache(t, { hotMaxBytes: 0 })
  await put(test.cache, 'key', 'token', bytes)
  await nothingLeaks(test.directory)
  const path = pathsOf(test)[0]!
  // Whole seconds, since utimes(2) can reset a file's mtime to these exactly.
  utimesSync(path, 1e9, 1e9)
  return { ...test, path }
}

t.test('a body changed in place, with its mtime reset, while the process runs', async (t) => {
  for (const at of [0, 300_000, bytes.length - 1]) {
    const { cache, events, path } = await withColdEntry(t)
    t.ok((await get(cache, 'key'))?.equals(bytes))
    changeInPlace(path, at)
    t.equal(await get(cache, 'key'), undefined)
    t.same(events, ['discarded corrupt'])
    await put(cache, 'key', 'token', bytes)
    t.ok((await get(cache, 'key'))?.equals(bytes))
  }
})

t.test(
  'a body changed while it is read: that reader gets an error, and the next none of its bytes',
  async (t) => {
    const { cache, directory, events, path } = await withColdEntry(t)
    const entry = cache.get('key')!
    const reader = entry.follow()
    t.ok(await entry.load())
    await readUntil(reader, 1)
    changeInPlace(path, bytes.length - 1)
    t.equal(await get(cache, 'key'), undefined, 'although the file is open')
    await t.rejects(collect(reader), /other bytes/)
    t.same(events, ['discarded corrupt', 'storeFailed read'])
    await nothingLeaks(directory)
  },
)

t.test('a body changed between the check of the file and a read', async (t) => {
  const { cache, events, path } = await withColdEntry(t)
  const entry = cache.get('key')!
  const reader = entry.follow()
  t.ok(await entry.load())
  changeInPlace(path, 300_000)
  await t.rejects(collect(reader), /other bytes/)
  t.equal(await get(cache, 'key'), undefined)
  t.same(events, ['storeFailed read', 'discarded corrupt'])
})

t.test('a body changed before a restart', async (t) => {
  for (const hotMaxBytes of [0, 1 << 26]) {
    const { cache, options, path } = await withColdEntry(t)
    await cache.close()
    changeInPlace(path, 300_000)
    const again = await openCache(t, { ...options, hotMaxBytes })
    t.equal(await get(again.cache, 'key'), undefined)
  }
})

t.test('a file with another ctime and the same bytes goes on answering', async (t) => {
  const { cache, directory, events, path } = await withColdEntry(t)
  const touches = [
    () => chmodSync(path, 0o400),
    () => linkSync(path, join(directory, 'link')),
    () => writeFileSync(path, readFileSync(path), { flag: 'r+' }),
    () => utimesSync(path, 1, 1),
  ]
  chmodSync(path, 0o600)
  for (const touch of touches.reverse()) {
    touch()
    t.ok((await get(cache, 'key'))?.equals(bytes))
  }
  t.same(events, [])
})

t.test('a file that is changed while it grows: followers that read it from disk get an error', async (t) => {
  const { cache, directory } = await openCache(t, { hotMaxBytes: 0 })
  const grown = bytesOf(1, 0, 3_000_000)
  const producer = new ManualProducer().push(grown)
  const { entry, ended } = cache.fill('key', 'token', producer.run, yes)
  const ahead = entry.follow()
  await readUntil(ahead, grown.length)
  const pathNow = (): string => join(directory, 'instance-0', 'temp', filesIn(directory, 'temp')[0] ?? '')
  await eventually('it is on disk', () => statSync(pathNow()).size === grown.length)
  const path = pathNow()
  changeInPlace(path, 100_000)
  await eventually('its first block has left memory', () => entry.file.hotBytes < grown.length)
  await t.rejects(collect(entry.follow()), /other bytes/)
  producer.end()
  await ended
  ahead.close()
  t.equal(await get(cache, 'key'), undefined)
})
