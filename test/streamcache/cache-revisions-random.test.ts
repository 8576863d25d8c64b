import t from 'tap'
import fc from 'fast-check'
import { cpSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Revision, StreamCache, type Rope } from '../../src/streamcache/index.js'
import { breakFs, systemError } from '../support/broken-fs.js'
import { bytesOf, collect } from '../support/producers.js'
import { bytesOfRope, editRope, reviseWith, ropeOf } from '../support/ropes.js'
import { cacheOptions, get, put } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const edit = fc.record({
  index: fc.nat(20),
  remove: fc.nat(2),
  size: fc.constantFrom(0, 1, 100, 5000, 40_000, 90_000),
  /** What is done after it. */
  then: fc.constantFrom('', '', 'cool', 'follow', 'wait', 'reload', 'restart', 'full'),
})
const damage = fc.record({ file: fc.nat(9), at: fc.nat(1 << 20), truncate: fc.boolean() })

t.test(
  'any chain of versions, restarts and damage: a version that was stored, whole, or nothing',
  async (t) => {
    const root = tempDir(t)
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { minLength: 1, maxLength: 12 }),
        fc.constantFrom(0, 1 << 16, 1 << 26),
        fc.constantFrom(1, 60_000),
        damage,
        async (edits, hotMaxBytes, revisionQuietMs, damage) => {
          const directory = join(root, String(run++))
          const { options, events } = cacheOptions({ directory, hotMaxBytes, revisionQuietMs })
          let cache = await StreamCache.open(options)
          await cache.restored
          let rope: Rope = ropeOf(1, 30_000, 70_000, 10, 60_000)
          const versions = new Map([['token 0', bytesOfRope(rope)]])
          let { entry } = await put(cache, 'key', 'token 0', versions.get('token 0')!)
          const reading: Promise<void>[] = []
          for (const [version, { index, remove, size, then }] of edits.entries()) {
            const token = `token ${version + 1}`
            const before = entry.rope ?? rope
            const next = editRope(before, index, remove, Buffer.from(bytesOf(version, 0, size)))
            rope = next.length > 0 ? next : ropeOf(2, 10)
            versions.set(token, bytesOfRope(rope))
            if (then === 'full') ({ entry } = await put(cache, 'key', token, versions.get(token)!))
            else {
              const fill = reviseWith(cache, 'key', token, new Revision(rope, { entry, rope: before }))
              if ((await fill.ended) !== 'committed') throw new Error(await fill.ended)
              entry = fill.entry
            }
            if (then === 'cool' || then === 'reload') entry.cool()
            if (then === 'wait') await new Promise((resolve) => setTimeout(resolve, 3))
            if (then === 'follow') {
              const follower = entry.follow()
              reading.push(
                collect(follower).then((bytes) => {
                  if (!bytes.equals(versions.get(token)!))
                    throw new Error(`a follower of ${token} got other bytes`)
                }),
              )
            }
            if (then === 'restart') {
              await Promise.all(reading)
              await cache.close()
              cache = await StreamCache.open(options)
              await cache.restored
            }
            if (then === 'restart' || then === 'reload') {
              const found = cache.get('key')
              if (found?.token !== token) throw new Error(`${found?.token} instead of ${token}`)
              if (!(await get(cache, 'key'))?.equals(versions.get(token)!))
                throw new Error(`${token} is not whole`)
              entry = found
            }
          }
          await Promise.all(reading)
          if (cache.hotBytes > hotMaxBytes) throw new Error(`${cache.hotBytes} bytes in memory`)
          await cache.close()
          const wrong = events.filter((event) => event !== 'evicted superseded')
          if (wrong.length > 0) throw new Error(wrong.join())
          damageOne(join(directory, 'instance-0', 'entries'), damage)
          const again = await StreamCache.open(cacheOptions({ directory }).options)
          const token = again.get('key')?.token
          const bytes = await get(again, 'key')
          if (bytes && !bytes.equals(versions.get(token ?? '') ?? Buffer.alloc(0)))
            throw new Error('not whole')
          await again.close()
        },
      ),
      { numRuns: 25 },
    )
    t.pass()
  },
)

function damageOne(
  directory: string,
  { file, at, truncate }: { file: number; at: number; truncate: boolean },
): void {
  const names = readdirSync(directory).sort()
  if (names.length === 0) throw new Error('nothing was stored')
  const path = join(directory, names[file % names.length]!)
  const bytes = readFileSync(path)
  if (truncate) return truncateSync(path, at % bytes.length)
  bytes[at % bytes.length]! ^= 1
  writeFileSync(path, bytes)
}

t.test('a crash before any operation of the disk leaves a version, whole, or nothing', async (t) => {
  const root = tempDir(t)
  const { options } = cacheOptions({ directory: join(root, 'cache') })
  const cache = await StreamCache.open(options)
  await cache.restored
  let rope: Rope = ropeOf(1, 30_000, 70_000, 60_000)
  const versions = new Map([['token 0', bytesOfRope(rope)]])
  let { entry } = await put(cache, 'key', 'token 0', bytesOfRope(rope))
  const disk = await breakFs(t)
  const copies: string[] = []
  disk.decide = () => {
    const copy = join(root, `copy-${copies.length}`)
    for (const folder of ['temp', 'entries'])
      cpSync(join(options.directory, 'instance-0', folder), join(copy, 'instance-0', folder), {
        recursive: true,
      })
    copies.push(copy)
    return undefined
  }
  for (let version = 1; version <= 4; version++) {
    const isBase = version === 3
    const before = rope
    rope = isBase ? ropeOf(7, 300_000, 300_000) : editRope(rope, 1, 1, Buffer.from(bytesOf(version, 0, 500)))
    versions.set(`token ${version}`, bytesOfRope(rope))
    const fill = reviseWith(cache, 'key', `token ${version}`, new Revision(rope, { entry, rope: before }))
    await fill.ended
    entry = fill.entry
    entry.cool()
    while (entry.rope) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await cache.close()
  disk.decide = () => undefined
  const seen = new Set<string>()
  for (const directory of copies) {
    const again = cacheOptions({ directory })
    const restarted = await StreamCache.open(again.options)
    await restarted.restored
    const token = restarted.get('key')?.token
    const bytes = await get(restarted, 'key')
    t.ok(bytes?.equals(versions.get(token ?? '')!), `${token} is whole`)
    seen.add(token ?? '')
    const wrong = again.events.filter((event) => !/^(discarded temp|evicted superseded)$/.test(event))
    t.same(wrong, [])
    await restarted.close()
    const names = readdirSync(join(directory, 'instance-0', 'entries'))
    t.equal(names.filter((name) => !name.includes('.meta') && !name.includes('.rev')).length, 1, 'one body')
  }
  t.same([...seen].sort(), ['token 0', 'token 1', 'token 2', 'token 3', 'token 4'])
})

t.test(
  'any operation of the disk fails now and then: the newest version is served while it is there',
  async (t) => {
    const root = tempDir(t)
    const disk = await breakFs(t)
    let run = 0
    const fates = fc.infiniteStream(fc.tuple(fc.nat(5), fc.constantFrom('EIO', 'ENOSPC', 'EMFILE')))
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 10 }), fates, async (edits, fates) => {
        const directory = join(root, String(run++))
        const { options } = cacheOptions({ directory, revisionQuietMs: 1 })
        const cache = await StreamCache.open(options)
        await cache.restored
        let rope: Rope = ropeOf(1, 30_000, 70_000)
        const versions = new Map([['token 0', bytesOfRope(rope)]])
        let { entry } = await put(cache, 'key', 'token 0', bytesOfRope(rope))
        disk.decide = () => {
          const [chance, code] = fates.next().value as [number, string]
          return chance === 0 ? systemError(code) : undefined
        }
        for (const [version, { index, remove, size, then }] of edits.entries()) {
          const token = `token ${version + 1}`
          const before = rope
          const next = editRope(before, index, remove, Buffer.from(bytesOf(version, 0, size)))
          rope = next.length > 0 ? next : ropeOf(2, 10)
          versions.set(token, bytesOfRope(rope))
          const fill = reviseWith(cache, 'key', token, new Revision(rope, { entry, rope: before }))
          if ((await fill.ended) !== 'committed') throw new Error(await fill.ended)
          entry = fill.entry
          if (!(await collect(entry.follow())).equals(versions.get(token)!)) throw new Error('other bytes')
          if (then === 'cool') entry.cool()
          if (then === 'wait') await new Promise((resolve) => setTimeout(resolve, 3))
        }
        await cache.close()
        disk.decide = () => undefined
        const again = await StreamCache.open(cacheOptions({ directory }).options)
        const token = again.get('key')?.token
        const bytes = await get(again, 'key')
        if (bytes && !bytes.equals(versions.get(token ?? '') ?? Buffer.alloc(0))) throw new Error('not whole')
        await again.close()
      }),
      { numRuns: 25 },
    )
    t.pass()
  },
)
