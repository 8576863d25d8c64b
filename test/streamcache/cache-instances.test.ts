import t from 'tap'
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { producerOf } from '../support/producers.js'
import { filesIn, get, openCache, put, yes } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

t.test(
  'two caches on one directory do not share files, and a restart finds those of the first',
  async (t) => {
    const { cache: first, directory, options } = await openCache(t)
    const { cache: second } = await openCache(t, options)
    t.same([first.instance, second.instance], [0, 1])
    await put(first, 'key', 'token', 'first')
    await put(second, 'key', 'token', 'second')
    t.equal((await get(first, 'key'))?.toString(), 'first')
    t.same(readdirSync(directory).sort(), ['instance-0', 'instance-1'])
    await first.close()
    const { cache: third } = await openCache(t, options)
    t.equal(third.instance, 0)
    t.equal((await get(third, 'key'))?.toString(), 'first')
    t.equal((await get(second, 'key'))?.toString(), 'second')
  },
)

t.test(
  'an instance directory that was removed is acquired again, unless another process has it by then',
  async (t) => {
    const { cache, directory, options } = await openCache(t)
    await put(cache, 'key', 'token', 'abc')
    rmSync(directory, { recursive: true })
    t.equal((await get(cache, 'key'))?.toString(), 'abc', 'bytes in memory answer')
    const fills = ['a', 'b', 'c'].map((key) => cache.fill(key, 'token', producerOf(key), yes).ended)
    t.same(await Promise.all(fills), ['committed', 'committed', 'committed'])
    t.same([cache.instance, filesIn(directory, 'entries').length], [0, 3])

    rmSync(directory, { recursive: true })
    const { cache: other } = await openCache(t, options)
    await put(cache, 'key', 'later', 'abc')
    t.same([other.instance, cache.instance], [0, 1])
  },
)

t.test(
  'a directory that cannot be used at first: its entries are taken over as soon as it can',
  async (t) => {
    const { cache: before, options } = await openCache(t, { directory: join(tempDir(t), 'cache') })
    await put(before, 'old', 'token', 'old')
    await before.close()
    renameSync(options.directory, `${options.directory}.away`)
    writeFileSync(options.directory, '')
    const { cache } = await openCache(t, options)
    t.equal(cache.instance, undefined)
    t.equal(await cache.fill('new', 'token', producerOf('new'), yes).ended, 'unstored')
    rmSync(options.directory)
    renameSync(`${options.directory}.away`, options.directory)
    await put(cache, 'new', 'token', 'new')
    t.equal(cache.instance, 0)
    t.equal((await get(cache, 'old'))?.toString(), 'old')
  },
)

t.test('a cache that is closed acquires no instance directory again', async (t) => {
  const { cache, options } = await openCache(t)
  await cache.close()
  await cache.fill('key', 'token', producerOf('abc'), yes).ended
  const { cache: next } = await openCache(t, options)
  t.same([cache.instance, next.instance], [undefined, 0])
})
