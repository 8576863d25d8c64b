import t, { type Test } from 'tap'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  Revision,
  Rope,
  type Entry,
  type StreamCache,
  type StreamCacheOptions,
} from '../../src/streamcache/index.js'
import { breakFs, systemError } from '../support/broken-fs.js'
import { eventually } from '../support/eventually.js'
import { bytesOf, collect, readUntil, turns } from '../support/producers.js'
import { bytesOfRope, changeLine, listingRope, reviseWith, ropeOf } from '../support/ropes.js'
import { get, no, nothingLeaks, openCache, put, yes, type TestCache } from '../support/stream-cache.js'

const mib = 1024 * 1024
const namesIn = (directory: string): string[] => {
  const path = join(directory, 'instance-0', 'entries')
  return existsSync(path) ? readdirSync(path).sort() : []
}
const kinds = (directory: string): string =>
  namesIn(directory)
    .map((name) => /\.(meta|revisions)$/.exec(name)?.[1] ?? 'body')
    .sort()
    .join()

interface Chain extends TestCache {
  /** Bytes of each delta and of each new base, in order. */
  readonly written: string[]
  rope: Rope
  entry: Entry
  /** Commits the next version: one line changed. */
  change(token: string, line: number, digit: string): Promise<Entry>
}

/** Opens a cache in which a key has been filled as today, with the bytes of a listing. */
async function chain(t: Test, lines = 4000, changes: Partial<StreamCacheOptions> = {}): Promise<Chain> {
  const written: string[] = []
  const events: string[] = []
  const test = await openCache(t, {
    ...changes,
    events: {
      evicted: (reason) => reason !== 'superseded' && events.push(`evicted ${reason}`),
      discarded: (reason) => events.push(`discarded ${reason}`),
      storeFailed: (operation) => events.push(`storeFailed ${operation}`),
      revised: (bytes) => written.push(`delta ${bytes}`),
      rebased: (bytes) => written.push(`base ${bytes}`),
    },
  })
  const rope = listingRope(lines, 16 * 1024)
  const { entry } = await put(test.cache, 'key', 'token 0', bytesOfRope(rope))
  const state: Chain = {
    ...test,
    ...{ events, written, rope, entry },
    async change(token, line, digit) {
      const next = changeLine(state.rope, line, digit)
      const base = { entry: state.entry, rope: state.rope }
      const { entry, ended } = reviseWith(state.cache, 'key', token, new Revision(next, base))
      t.equal(await ended, 'committed')
      state.rope = next
      state.entry = entry
      return entry
    },
  }
  return state
}

const restart = async (
  t: Test,
  { cache, directory }: { cache: StreamCache; directory: string },
  changes: Partial<StreamCacheOptions> = {},
): Promise<TestCache> => {
  await cache.close()
  return openCache(t, { directory, ...changes })
}

t.test('a revision is served as the rope that it is, and a delta of it is stored', async (t) => {
  const state = await chain(t)
  const first = state.entry
  const old = first.follow()
  first.cool()
  const bytes = bytesOfRope(state.rope)
  const entry = await state.change('token 1', 7, 'b')
  t.equal(entry.rope, state.rope)
  t.equal(entry.length, bytes.length)
  t.equal(entry.sha256, undefined, 'nothing is hashed')
  const follower = entry.follow()
  t.equal((await follower.read())!.buffer, state.rope.chunks[0]!.buffer, 'a view of its chunk')
  follower.close()
  await eventually('it is stored', () => state.written.length === 1)
  t.match(state.written, [/^delta \d{3}$/], 'a few hundred bytes')
  t.equal(kinds(state.directory), 'body,meta,revisions')
  t.equal(entry.path, undefined, 'the base alone is another version')
  t.equal((await collect(old)).length, bytes.length, 'a follower of the old version reads its file')
  t.equal(await entry.digest(), await state.rope.digest())

  const again = await restart(t, state)
  t.equal(again.cache.get('key')?.token, 'token 1')
  t.ok((await get(again.cache, 'key'))?.equals(bytesOfRope(state.rope)))
  t.same(again.events, [])
  await again.cache.close()
  await nothingLeaks2(state.directory)
})

/** As nothingLeaks, where files of revisions are allowed. */
async function nothingLeaks2(directory: string): Promise<void> {
  await eventually('temp is empty', () => readdirSync(join(directory, 'instance-0', 'temp')).length === 0)
}

t.test(
  'followers that joined before get the rope too, and the producer may not go on after it',
  async (t) => {
    const { cache, directory } = await openCache(t)
    const rope = ropeOf(1, 1000, 2000)
    let yieldNow = (): void => {}
    const asked = new Promise<void>((resolve) => (yieldNow = resolve))
    const { entry, ended } = cache.fill(
      'key',
      'token',
      async function* () {
        yield Buffer.alloc(0)
        await asked
        yield new Revision(rope)
      },
      yes,
    )
    const reading = collect(entry.follow())
    await turns()
    t.same(readdirSync(join(directory, 'instance-0', 'temp')), [], 'there is no file')
    yieldNow()
    t.ok((await reading).equals(bytesOfRope(rope)))
    t.equal(await ended, 'committed')
    const more = cache.fill(
      'other',
      'token',
      async function* () {
        yield new Revision(rope)
        yield Buffer.from('more')
      },
      yes,
    )
    await t.rejects(collect(more.entry.follow()), /after a revision/)
    t.equal(await more.ended, 'failed')
  },
)

t.test('versions that come while one is written are written as one', async (t) => {
  const state = await chain(t)
  const disk = await breakFs(t)
  disk.decide = (operation) => (operation === 'open' ? 'hang' : undefined)
  await state.change('token 1', 1, 'b')
  await eventually('the write hangs', () => disk.hanging > 0)
  for (let version = 2; version < 10; version++) await state.change(`token ${version}`, version * 100, 'c')
  disk.decide = () => undefined
  disk.release()
  await eventually('two deltas are written', () => state.written.length === 2)
  const again = await restart(t, state)
  t.equal(state.written.length, 2)
  t.equal(again.cache.get('key')?.token, 'token 9')
  t.ok((await get(again.cache, 'key'))?.equals(bytesOfRope(state.rope)))
})

t.test('a new base when deltas are too many, and followers of old versions read on', async (t) => {
  const state = await chain(t, 4000)
  const { entry } = state
  const old = entry.follow()
  entry.cool()
  const middle = (await state.change('token 1', 3, 'b')).follow()
  const before = bytesOfRope(state.rope)
  await eventually('stored', () => state.written.length === 1)
  // Every line: all chunks are others.
  const next = new Rope(
    listingRope(4000, 16 * 1024).chunks.map((chunk) => Buffer.from(chunk.map((b) => b ^ 1))),
  )
  const base = { entry: state.entry, rope: state.rope }
  const { ended } = reviseWith(state.cache, 'key', 'token 2', new Revision(next, base))
  t.equal(await ended, 'committed')
  await eventually('a base is written', () => state.written.length === 2)
  t.equal(state.written[1], `base ${next.length}`)
  await eventually('the old files are gone', () => kinds(state.directory) === 'body,meta')
  t.equal((await collect(old)).length, before.length)
  t.ok((await collect(middle)).equals(before))
  t.equal(state.cache.get('key')!.path?.endsWith(namesIn(state.directory)[0]!), true, 'it is one whole file')
  t.equal(state.cache.storeBytes, statBytes(state.directory))
  const again = await restart(t, state)
  t.ok((await get(again.cache, 'key'))?.equals(bytesOfRope(next)))
})

const statBytes = (directory: string): number =>
  namesIn(directory)
    .map((name) => statSync(join(directory, 'instance-0', 'entries', name)).size)
    .reduce((a, b) => a + b, 0)

t.test('a new base when it has been quiet', async (t) => {
  const state = await chain(t, 4000, { revisionQuietMs: 50 })
  const entry = await state.change('token 1', 3, 'b')
  entry.cool()
  await eventually('it has left memory', () => entry.rope === undefined)
  await eventually('a base is written', () => state.written.length === 2)
  t.match(state.written, [/delta/, `base ${state.rope.length}`])
  await eventually('the old files are gone', () => kinds(state.directory) === 'body,meta')
  t.equal(state.cache.storeBytes, statBytes(state.directory))
  const bytes = bytesOfRope(state.rope)
  t.ok((await get(state.cache, 'key'))?.equals(bytes))
  await state.change('token 2', 5, 'c')
  await eventually('a delta again', () => state.written.length >= 3)
  t.match(state.written[2], /^delta \d{3}$/, 'of a few bytes, although the rope was read back')
})

t.test('memory: a rope leaves it when it is stored and unfollowed, and is read back', async (t) => {
  const state = await chain(t)
  const { cache } = state
  const entry = await state.change('token 1', 3, 'b')
  state.entry = entry
  const follower = entry.follow()
  await readUntil(follower, 1)
  entry.cool()
  await eventually('stored', () => state.written.length === 1)
  await turns()
  t.equal(entry.rope, state.rope, 'its follower holds it')
  t.ok(cache.hotBytes >= state.rope.length)
  follower.close()
  t.equal(entry.rope, undefined)
  await eventually('only the base may be left', () => cache.hotBytes === 0)
  t.equal(await entry.load(), true)
  t.ok(bytesOfRope(entry.rope!).equals(bytesOfRope(state.rope)))
  t.equal(cache.hotBytes, state.rope.length)
  entry.cool()
  t.ok((await collect(entry.follow())).equals(bytesOfRope(state.rope)), 'without load() too')
  t.equal(await entry.digest(), await state.rope.digest())
  const next = await state.change('token 2', 3, 'c')
  t.equal(cache.hotBytes, state.rope.length, 'the old version has left')
  t.throws(() => entry.follow(), 'the old version cannot be joined')
  t.equal(next.rope, state.rope)
})

t.test('the hot tier: a rope that must leave is stored first, or dropped if the disk fails', async (t) => {
  const disk = await breakFs(t)
  for (const isBroken of [false, true]) {
    const { cache, events } = await openCache(t, { hotMaxBytes: 3 * mib })
    disk.decide = () => (isBroken ? systemError('EIO') : undefined)
    const rope = ropeOf(1, 1 * mib, 1 * mib)
    t.equal(await reviseWith(cache, 'key', 'token', new Revision(rope)).ended, 'committed')
    t.equal(await reviseWith(cache, 'other', 'token', new Revision(ropeOf(2, 2 * mib))).ended, 'committed')
    if (isBroken) {
      await eventually('it is dropped', () => cache.get('key') === undefined)
      t.ok(events.includes('evicted memory'), events.join())
      t.ok(events.includes('storeFailed create'))
    } else {
      await eventually('it has left', () => cache.get('key')?.rope === undefined)
      t.ok((await get(cache, 'key'))?.equals(bytesOfRope(rope)))
      t.same(events, [])
    }
    disk.decide = () => undefined
    await cache.close()
  }
})

t.test(
  'limits: too large a rope is served and not kept; one larger than memory is kept on disk',
  async (t) => {
    const rope = ropeOf(1, 100_000, 100_000)
    const small = await openCache(t, { maxEntryBytes: 150_000 })
    const { entry, ended } = reviseWith(small.cache, 'key', 'token', new Revision(rope))
    const reading = collect(entry.follow())
    t.equal(await ended, 'unstored')
    t.ok((await reading).equals(bytesOfRope(rope)))
    await nothingLeaks(small.directory)
    t.equal(small.cache.hotBytes, 0)
    const cold = await openCache(t, { hotMaxBytes: 0 })
    t.equal(await reviseWith(cold.cache, 'key', 'token', new Revision(rope)).ended, 'committed')
    await eventually('it is stored', () => cold.cache.get('key')?.rope === undefined)
    t.ok((await get(cold.cache, 'key'))?.equals(bytesOfRope(rope)))
    t.equal(cold.cache.hotBytes, 0)
  },
)

t.test('disk errors: the entry goes on in memory, and a later version is stored', async (t) => {
  for (const operation of ['open', 'writev', 'rename'] as const) {
    const state = await chain(t)
    const disk = await breakFs(t)
    await state.change('token 1', 3, 'b')
    await eventually('a delta', () => state.written.length === 1)
    disk.decide = (each) => (each === operation ? systemError('ENOSPC') : undefined)
    if (operation !== 'rename') {
      const entry = await state.change('token 2', 4, 'c')
      await eventually('it is reported', () => state.events.length > 0)
      t.same(state.events.splice(0), ['storeFailed write'])
      t.ok((await get(state.cache, 'key'))?.equals(bytesOfRope(state.rope)))
      entry.cool()
      await turns()
    } else {
      state.entry = await state.change('token 2', 4, 'c')
      await eventually('a delta', () => state.written.length === 2)
      // Without a base: it is written whole.
      const { ended } = reviseWith(state.cache, 'key', 'token 3', new Revision(state.rope))
      t.equal(await ended, 'committed')
      state.entry = state.cache.get('key')!
      await eventually('it is reported', () => state.events.includes('storeFailed commit'))
    }
    disk.decide = () => undefined
    await state.change('token 4', 5, 'd')
    await eventually('it is stored', () => state.written.some((each) => each.startsWith('base')))
    await eventually('the old files are gone', () => kinds(state.directory) === 'body,meta')
    const again = await restart(t, state)
    t.equal(again.cache.get('key')?.token, 'token 4')
    t.ok((await get(again.cache, 'key'))?.equals(bytesOfRope(state.rope)))
    await again.cache.close()
  }
})

t.test('erase() removes all files before it returns, also of a base that is being renamed', async (t) => {
  const state = await chain(t)
  await state.change('token 1', 3, 'b')
  await eventually('a delta', () => state.written.length === 1)
  state.cache.erase('key')
  t.same(namesIn(state.directory), [])
  const disk = await breakFs(t)
  let renames = 0
  disk.decide = (operation) => (operation === 'rename' && ++renames > 0 ? 'hang' : undefined)
  t.equal(await reviseWith(state.cache, 'key', 'token 2', new Revision(state.rope)).ended, 'committed')
  await eventually('the base is written', () => disk.hanging > 0)
  state.cache.erase('key')
  disk.decide = () => undefined
  disk.release()
  await state.cache.close()
  t.same(namesIn(state.directory), [])
  await nothingLeaks(state.directory)
})

t.test('another fill, remove() and an unconfirmed revision leave no files', async (t) => {
  const state = await chain(t)
  await state.change('token 1', 3, 'b')
  await eventually('a delta', () => state.written.length === 1)
  await put(state.cache, 'key', 'token 2', bytesOf(9, 0, 1000))
  await eventually('the chain is gone', () => kinds(state.directory) === 'body,meta')
  const revision = new Revision(state.rope, { entry: state.cache.get('key')!, rope: state.rope })
  const fill = state.cache.fill(
    'key',
    'token 3',
    async function* () {
      yield revision
    },
    no,
  )
  t.equal(await fill.ended, 'unshared')
  t.equal(kinds(state.directory), 'body,meta')
  t.equal(fill.entry.base, undefined, 'it does not hold the version before')
  t.equal(await reviseWith(state.cache, 'key', 'token 4', new Revision(state.rope)).ended, 'committed')
  await eventually('it is stored', () => state.written.includes(`base ${state.rope.length}`))
  state.cache.remove('key')
  await eventually('all is gone', () => namesIn(state.directory).length === 0)
  await nothingLeaks(state.directory)
})

t.test('a retry whose first attempt made the rope must make the same bytes', async (t) => {
  const rope = ropeOf(3, 5000, 5000)
  for (const [second, result] of [
    [rope, 'committed'],
    [ropeOf(4, 10_000), 'failed'],
  ] as const) {
    const { cache } = await openCache(t, { fillRetries: 1 })
    let attempts = 0
    const { entry, ended } = cache.fill(
      'key',
      'token',
      async function* () {
        yield new Revision(attempts++ > 0 ? second : rope)
        if (attempts === 1) throw new Error('once')
      },
      yes,
    )
    const reading = collect(entry.follow()).catch(() => undefined)
    t.equal(await ended, result)
    if (result === 'committed') t.ok((await reading)?.equals(bytesOfRope(rope)))
  }
  const { cache } = await openCache(t, { fillRetries: 1 })
  let attempts = 0
  const { entry, ended } = cache.fill(
    'key',
    'token',
    async function* () {
      yield attempts++ > 0 ? new Revision(rope) : rope.chunks[0]!
      if (attempts === 1) throw new Error('once')
    },
    yes,
  )
  const reading = collect(entry.follow())
  t.equal(await ended, 'committed')
  t.ok((await reading).equals(bytesOfRope(rope)), 'bytes first, then the rest of the rope')
})

t.test('a damaged base is found when it is loaded, and its entry discarded', async (t) => {
  const state = await chain(t)
  await state.change('token 1', 3, 'b')
  const { directory } = state
  await state.cache.close()
  const { writeFileSync } = await import('node:fs')
  const path = join(directory, 'instance-0', 'entries', namesIn(directory)[0]!)
  const bytes = readFileSync(path)
  bytes[500]! ^= 1
  writeFileSync(path, bytes)
  const again = await openCache(t, { directory })
  t.equal(again.cache.get('key')?.token, 'token 1')
  t.equal(await get(again.cache, 'key'), undefined)
  t.same(again.events, ['discarded corrupt'])
  await eventually('all is gone', () => namesIn(directory).length === 0)
})

t.test('packs: in a cache that begins in memory a revision is copied', async (t) => {
  const { cache } = await openCache(t, { memoryFirst: true })
  const rope = ropeOf(3, 5000, 5000)
  const { entry, ended } = reviseWith(cache, 'key', 'token', new Revision(rope))
  t.equal(await ended, 'committed')
  t.equal(entry.rope, undefined)
  t.ok((await get(cache, 'key'))?.equals(bytesOfRope(rope)))
})
