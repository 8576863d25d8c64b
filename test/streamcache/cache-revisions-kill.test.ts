import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { StreamCache } from '../../src/streamcache/index.js'
import { cacheOptions, get } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const kills = 8

/** Each version is 40 chunks of 8 KiB; the last four bytes of each chunk name the version that has changed it. */
const script = `
const [library, directory, first] = process.argv.slice(1)
const { StreamCache, Revision, Rope } = await import(library)
const cache = await StreamCache.open({
  directory, maxBytes: 1 << 30, maxEntries: 10, maxEntryBytes: 1 << 30, minFreeBytes: 0, minFreeInodes: 0,
  maxAgeMs: 3600000, hotMaxBytes: 1 << 26, maxLeadBytes: 1 << 26, fillTimeoutMs: 60000, fillSilenceMs: 60000,
})
await cache.restored
const chunkOf = (version) => { const chunk = Buffer.alloc(8192, version % 251); chunk.writeUInt32BE(version, 8188); return chunk }
let entry = cache.get('key')
if (entry && !(await entry.load())) throw new Error('damaged')
let version = Number(first)
const split = (bytes) => Array.from({ length: 40 }, (_, index) => bytes.subarray(index * 8192, (index + 1) * 8192))
const read = async () => { const parts = []; for await (const part of entry.follow()) parts.push(part); return Buffer.concat(parts) }
let rope = entry ? new Rope(split(await read())) : new Rope(Array.from({ length: 40 }, () => chunkOf(version)))
for (;; version++) {
  const before = rope
  rope = new Rope(rope.chunks.map((chunk, index) => (version % 50 === 0 || index === version % 40 ? chunkOf(version) : chunk)))
  const revision = new Revision(rope, entry && { entry, rope: before })
  const fill = cache.fill('key', String(version), async function* () { yield revision }, async () => true)
  if ((await fill.ended) !== 'committed') throw new Error(await fill.ended)
  entry = fill.entry
  if (version % 7 === 0) entry.cool()
  if (version === Number(first) + 20) console.log('running')
  await new Promise((resolve) => setTimeout(resolve, 1))
}
`

t.test('killed again and again while it appends and writes bases: the last whole version', async (t) => {
  const directory = join(tempDir(t), 'cache')
  const library = pathToFileURL(join('dist', 'streamcache', 'index.js')).href
  let latest = 0
  for (let round = 0; round < kills; round++) {
    const args = ['--input-type=module', '-e', script, library, directory, String(latest + 1)]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
    if (child.exitCode !== null) return t.fail('it ended')
    await sleep(20 + ((round * 37) % 90))
    child.kill('SIGKILL')
    await once(child, 'exit')
    const { options, events } = cacheOptions({ directory })
    const cache = await StreamCache.open(options)
    await cache.restored
    const version = Number(cache.get('key')?.token)
    t.ok(version > latest, `round ${round}: version ${version} after ${latest}`)
    const bytes = (await get(cache, 'key'))!
    t.equal(bytes.length % 8192, 0, 'it is whole')
    const changes = Array.from({ length: bytes.length / 8192 }, (_, index) =>
      bytes.readUInt32BE(index * 8192 + 8188),
    )
    t.equal(Math.max(...changes), version, 'it is the version that its token names')
    const filled = changes.every((change, index) => bytes[index * 8192] === change % 251)
    t.ok(filled, 'no chunk is mixed')
    t.same(
      events.filter((event) => !/^(discarded temp|evicted superseded)$/.test(event)),
      [],
    )
    latest = version
    await cache.close()
  }
})
