import t from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DiskFile } from '../../src/streamcache/disk/disk-file.js'
import { eventually } from '../support/eventually.js'
import { noSpace } from '../support/growing-file.js'
import { bytesOf, collect, ManualProducer, readUntil, producerOf } from '../support/producers.js'
import { get, nothingLeaks, openCache, openFilesUnder, put, yes } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const bytes = bytesOf(1, 0, 700_000)

t.test('a directory that cannot be created: entries are served and not stored', async (t) => {
  const file = join(tempDir(t), 'file')
  writeFileSync(file, '')
  const { cache, events } = await openCache(t, { directory: join(file, 'cache'), hotMaxBytes: 0 })
  t.same(events, ['storeFailed open'])
  for (let count = 0; count < 2; count++) {
    const { entry, ended } = cache.fill('key', 'token', producerOf(bytes), yes)
    const followers = [entry.follow(), entry.follow()]
    for (const follower of followers) t.ok((await collect(follower)).equals(bytes))
    t.equal(await ended, 'unstored')
    t.equal(cache.get('key'), undefined)
  }
  t.ok(events.includes('storeFailed create'))
})

t.test('a directory that is removed under a running cache', async (t) => {
  const { cache, directory, events } = await openCache(t, { hotMaxBytes: 0 })
  await put(cache, 'old', 'token', bytes)
  const producer = new ManualProducer().push(bytes.subarray(0, 600_000))
  const { entry, ended } = cache.fill('key', 'token', producer.run, yes)
  const follower = entry.follow()
  await readUntil(follower, 600_000)
  await eventually('the file is there', () => readdirSync(join(directory, 'instance-0', 'temp')).length === 1)
  rmSync(directory, { recursive: true })
  producer.push(bytes.subarray(600_000)).end()
  t.equal(await ended, 'unstored')
  t.ok(events.includes('storeFailed commit'))
  t.ok((await collect(entry.follow())).equals(bytes), 'its followers read it to its end')
  follower.close()

  t.equal(await get(cache, 'old'), undefined, 'a removed entry is not served')
  await put(cache, 'key', 'token', bytes)
  t.ok((await get(cache, 'key'))?.equals(bytes), 'the directory is created again')
  await nothingLeaks(directory)
})

t.test('a write that fails: the stream goes on from memory, and is not stored', async (t) => {
  for (const hotMaxBytes of [0, 1 << 26]) {
    const { cache, directory, events } = await openCache(t, { hotMaxBytes })
    const write = t.capture(DiskFile.prototype, 'write', async () => Promise.reject(noSpace()))
    const producer = new ManualProducer().push(bytes.subarray(0, 100))
    const { entry, ended } = cache.fill('key', 'token', producer.run, yes)
    const follower = entry.follow()
    await eventually('the failure is reported', () => events.includes('storeFailed write'))
    producer.push(bytes.subarray(100)).end()
    t.equal(await ended, 'unstored')
    t.ok((await collect(follower)).equals(bytes))
    t.equal(cache.get('key'), undefined)
    await nothingLeaks(directory)
    t.equal(cache.hotBytes, 0)
    write.restore()
    await put(cache, 'key', 'token', bytes)
  }
})

t.test('a disk that is full when the metadata is written, or at the rename', async (t) => {
  for (const method of ['writeMetadata', 'commit'] as const) {
    const { cache, directory, events } = await openCache(t)
    const producer = new ManualProducer().push(bytes)
    const { entry, ended } = cache.fill('key', 'token', producer.run, yes)
    const failing = t.capture(DiskFile.prototype, method, async () => Promise.reject(noSpace()))
    const follower = entry.follow()
    await readUntil(follower, bytes.length)
    producer.end()
    t.equal(await ended, 'unstored')
    t.equal(await follower.read(), null)
    follower.close()
    t.same([cache.get('key'), events], [undefined, ['storeFailed commit']], 'it is reported once')
    await nothingLeaks(directory)
    t.same([cache.storeBytes, cache.hotBytes], [0, 0])
    t.equal(failing().length, 1)
    failing.restore()
  }
})

t.test('a file that cannot be removed is reported, and its handle is closed', async (t) => {
  const { cache, directory, events } = await openCache(t)
  const producer = new ManualProducer().push(bytes)
  const { ended } = cache.fill('key', undefined, producer.run, yes)
  await eventually('the file is open', () => openFilesUnder(directory).length === 1)
  // A file in place of the directory: `rm` does not take that for a missing file.
  rmSync(join(directory, 'instance-0', 'temp'), { recursive: true })
  writeFileSync(join(directory, 'instance-0', 'temp'), '')
  producer.end()
  t.equal(await ended, 'unshared')
  await eventually('it is reported', () => events.includes('storeFailed remove'))
  await eventually('the handle is closed', () => openFilesUnder(directory).length === 0)
})

t.test('a disk that is really full', async (t) => {
  const directory = tempDir(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', directory], { stdio: 'ignore' })
  } catch {
    t.pass('cannot mount here', { skip: 'needs the right to mount a tmpfs' })
    return
  }
  t.teardown(() => execFileSync('umount', ['-l', directory]))
  const cacheDirectory = join(directory, 'cache')
  mkdirSync(cacheDirectory)
  const { cache, events } = await openCache(t, { directory: cacheDirectory, hotMaxBytes: 0 })
  await put(cache, 'small', 'token', bytesOf(2, 0, 1000))
  const { entry, ended } = cache.fill('key', 'token', producerOf(bytes), yes)
  const followers = [entry.follow(), entry.follow()]
  for (const follower of followers) t.ok((await collect(follower)).equals(bytes))
  t.equal(await ended, 'unstored')
  t.ok(events.includes('storeFailed write'))
  await nothingLeaks(cacheDirectory)
  await put(cache, 'later', 'token', bytesOf(3, 0, 1000))
  t.ok((await get(cache, 'small'))?.equals(bytesOf(2, 0, 1000)))
  await cache.close()
})
