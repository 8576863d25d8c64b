import t from 'tap'
import type { Test } from 'tap'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openPacks } from '../../../src/assembly/origins/packs.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import type { PackRequest } from '../../../src/freshness/pack-cache.js'
import { PackRefused } from '../../../src/git/process/pack-answer.js'
import { Overloaded } from '../../../src/limits/overloaded.js'
import type { Fill } from '../../../src/streamcache/index.js'
import { createLog } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { bytesOf, collect, ManualProducer, producerOf, readUntil } from '../../support/producers.js'
import { filesIn } from '../../support/stream-cache.js'
import { tempDir } from '../../support/temp-dir.js'

const mib = 1024 * 1024

async function open(t: Test, flags: Record<string, unknown> = {}) {
  const directory = tempDir(t)
  const settings = resolveSettings(readFlags({ root: directory, cacheMinFreeBytes: '0', ...flags }))
  const metrics = new Metrics()
  const { cache, packCache } = await openPacks(settings, directory, metrics, createLog('silent'))
  t.teardown(() => cache.close())
  const fills: Fill[] = []
  const read = (producer: PackRequest['producer'], name = 'name') =>
    packCache.read({
      ...{ repository: '/srv/r.git', name, maxAgeMs: Infinity, producer },
      ...{ confirm: async () => true, fillStarted: (fill: Fill) => void fills.push(fill) },
    })
  const packs = join(directory, 'packs')
  return { cache, packs, read, fills, metrics }
}

t.test('packs have a directory of their own, which short ones do not touch', async (t) => {
  const { cache, packs, read, fills } = await open(t)
  t.ok(existsSync(join(packs, 'instance-0')))
  await collect((await read(producerOf('pack'))).follower)
  t.equal(await fills[0]!.ended, 'committed')
  t.equal((await read(producerOf('other'))).reuse, 'hit')
  t.equal(cache.storeEntries, 1)
  t.same(filesIn(packs, 'entries'), [])
})

t.test('with an age limit of 0, nothing is kept', async (t) => {
  const { cache, read, fills } = await open(t, { packMaxAgeSeconds: '0' })
  await collect((await read(producerOf('pack'))).follower)
  t.equal(await fills[0]!.ended, 'unshared')
  t.equal(cache.storeEntries, 0)
})

t.test('what the only client of a long pack has read is dropped, and never written', async (t) => {
  const { read, packs } = await open(t)
  const manual = new ManualProducer()
  const { follower, entry } = await read(manual.run)
  const readTo = async (end: number): Promise<void> => {
    for (let at = follower.offset; at < end; at += mib) {
      manual.push(bytesOf(1, at, mib))
      await readUntil(follower, at + mib)
    }
  }
  await readTo(7 * mib)
  t.ok(entry.joinable, 'up to 8 MiB another client may join')
  await readTo(20 * mib)
  t.notOk(entry.joinable)
  t.same(filesIn(packs, 'temp'), [])
  follower.close()
})

t.test('a failure before the first byte is retried, a refusal or overload is not', async (t) => {
  const failing = (error: Error, runs: { count: number }) =>
    async function* (): AsyncGenerator<Buffer> {
      if (++runs.count === 1) throw error
      yield Buffer.from('pack')
    }
  for (const [error, count] of [
    [new Error('Git died'), 2],
    [new PackRefused(Buffer.from('0009ERR x')), 1],
    [new Overloaded('wait', 1), 1],
  ] as const) {
    const { read, fills, metrics } = await open(t)
    const runs = { count: 0 }
    await read(failing(error, runs))
    t.equal(await fills[0]!.ended, count === 2 ? 'committed' : 'failed')
    t.equal(runs.count, count, error.message)
    t.equal((await metrics.fillRetries.get()).values[0]?.value ?? 0, count - 1)
  }
})

t.test('a failure after the first byte is not retried: two packs are not the same', async (t) => {
  const { read, fills, metrics } = await open(t)
  const manual = new ManualProducer().push(Buffer.from('pa')).fail()
  const { follower } = await read(manual.run)
  await t.rejects(collect(follower), { name: 'FillError' })
  t.equal(await fills[0]!.ended, 'failed')
  t.equal((await metrics.fillRetries.get()).values[0]?.value ?? 0, 0)
})
