import t from 'tap'
import fc from 'fast-check'
import { join } from 'node:path'
import { blockSize } from '../../src/streamcache/memory/blocks.js'
import { StreamCache } from '../../src/streamcache/index.js'
import { DiskFile } from '../../src/streamcache/disk/disk-file.js'
import { noSpace } from '../support/growing-file.js'
import { breakFs, systemError } from '../support/broken-fs.js'
import { cacheOptions, nothingLeaks } from '../support/stream-cache.js'
import { CacheModel, chunkBlocksMax, type Step } from '../support/stream-cache-model.js'
import { tempDir } from '../support/temp-dir.js'

const size = fc.oneof(
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 100 }) },
  { weight: 2, arbitrary: fc.integer({ min: 60_000, max: 140_000 }) },
  { weight: 2, arbitrary: fc.constantFrom(blockSize - 1, blockSize, blockSize + 1) },
  { weight: 1, arbitrary: fc.integer({ min: 2 * blockSize, max: chunkBlocksMax * blockSize }) },
)
const pick = fc.nat(50)
const key = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fill'),
      key,
      // Few tokens, so that some fills are losers.
      token: fc.option(fc.nat(3), { nil: undefined, freq: 8 }),
      confirmed: fc.nat(3).map((chance) => chance > 0),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('make'), pick, size }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('end'), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail'), pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('follow'), pick }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read'), pick, count: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave'), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retain'), pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('hit'), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('adopt'), key, token: fc.nat(3), size }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('vanish'), pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('turn'), count: fc.nat(6) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('sleep'), count: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart') }) },
)
/** From no memory and very little disk space to more than enough. */
const limits = fc.record({
  hotMaxBytes: fc.constantFrom(0, blockSize, 3 * blockSize, 1 << 26),
  maxBytes: fc.constantFrom(1000, 2 * blockSize, 8 * blockSize, 1 << 30),
  maxLeadBytes: fc.constantFrom(1000, blockSize, 4 * blockSize, 1 << 26),
  memoryFirst: fc.boolean(),
  patienceMs: fc.constant(Infinity),
})
const schedule = fc.array(step, { maxLength: 80, size: 'max' })

t.test('every follower gets all bytes in order, or an error, under every schedule', async (t) => {
  const directory = tempDir(t)
  let run = 0
  await fc.assert(
    fc.asyncProperty(limits, schedule, async (limits, steps) => {
      const own = join(directory, String(run++))
      const { options, events } = cacheOptions({ ...limits, directory: own })
      await CacheModel.run(options, steps)
      await nothingLeaks(own)
      const wrong = events.filter((event) => !event.startsWith('evicted'))
      if (wrong.length > 0) throw new Error(wrong.join())
    }),
    { numRuns: 100, endOnFailure: true },
  )
  t.pass()
})

t.test('every follower does while writes fail now and then', async (t) => {
  const directory = tempDir(t)
  // eslint-disable-next-line @typescript-eslint/unbound-method -- It is called with its `this` below.
  const { write } = DiskFile.prototype
  let refuse = (): boolean => false
  t.capture(DiskFile.prototype, 'write', function (this: DiskFile, ...args: Parameters<typeof write>) {
    return refuse() ? Promise.reject(noSpace()) : write.apply(this, args)
  })
  let run = 0
  await fc.assert(
    fc.asyncProperty(limits, schedule, fc.infiniteStream(fc.nat(3)), async (limits, steps, chances) => {
      refuse = () => chances.next().value === 0
      const own = join(directory, String(run++))
      const { options } = cacheOptions({ ...limits, directory: own })
      await CacheModel.run(options, steps)
      await nothingLeaks(own)
    }),
    { numRuns: 100, endOnFailure: true },
  )
  t.pass()
})

t.test('every follower does while any operation of the disk fails now and then', async (t) => {
  const directory = tempDir(t)
  const disk = await breakFs(t)
  const code = fc.constantFrom('EIO', 'EMFILE', 'ENOSPC', 'EACCES')
  const fates = fc.infiniteStream(fc.tuple(fc.nat(9), code))
  let run = 0
  await fc.assert(
    fc.asyncProperty(limits, schedule, fates, async (limits, steps, fates) => {
      const own = join(directory, String(run++))
      const { options } = cacheOptions({ ...limits, directory: own })
      disk.decide = () => {
        const [chance, code] = fates.next().value as [number, string]
        return chance === 0 ? systemError(code) : undefined
      }
      await CacheModel.run(options, steps, true).finally(() => (disk.decide = () => undefined))
      // The next process finds files that could not be removed, and none of them is damaged.
      const again = cacheOptions({ ...limits, directory: own })
      const next = await StreamCache.open(again.options)
      await next.restored
      await next.close()
      await nothingLeaks(own)
      const wrong = again.events.filter((event) => !/^(evicted|discarded temp)/.test(event))
      if (wrong.length > 0) throw new Error(wrong.join())
    }),
    { numRuns: 60, endOnFailure: true },
  )
  t.pass()
})
