import t from 'tap'
import fc from 'fast-check'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RevisionLog } from '../../../src/streamcache/disk/revision-log.js'
import type { RevisionRecord } from '../../../src/streamcache/disk/revision-record.js'
import { breakFs, systemError } from '../../support/broken-fs.js'
import { tempDir } from '../../support/temp-dir.js'

const sha256 = 'a'.repeat(64)
const recordOf = (version: number): RevisionRecord => ({
  token: `token ${version}`,
  committedAt: version,
  length: 100 + version,
  splices: [{ start: version, end: version + 1, bytes: [Buffer.from('some'), Buffer.from('bytes')] }],
})

t.test('any damage or truncation leaves the whole records before it', async (t) => {
  const directory = tempDir(t)
  const log = new RevisionLog(join(directory, 'body'), sha256)
  const ends = [0]
  for (let version = 1; version <= 4; version++) {
    const bytes = await log.append(recordOf(version))
    ends.push(ends.at(-1)! + bytes)
  }
  const intact = readFileSync(log.path)
  t.equal(intact.length, log.end)
  t.equal(intact.subarray(-8).toString(), 'rfstrm04', 'an older version takes it for another format')
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(intact.length - 1), fc.nat(7), fc.boolean(), async (at, bit, truncate) => {
      const path = join(directory, `body-${run++}`)
      const bytes = Buffer.from(truncate ? intact.subarray(0, at) : intact)
      if (!truncate) bytes[at]! ^= 1 << bit
      writeFileSync(`${path}.revisions`, bytes)
      const found = new RevisionLog(path, sha256)
      const last = found.find()
      const whole = ends.findLastIndex((end) => end <= at)
      if ((last?.committedAt ?? 0) !== whole) throw new Error(`${last?.committedAt} instead of ${whole}`)
      if (found.end !== ends[whole]) throw new Error(`ends at ${found.end}`)
      if (found.sound !== (bytes.length === found.end)) throw new Error('records would follow others')
      const versions: number[] = []
      await found.read(found.end, ({ committedAt }) => void versions.push(committedAt))
      if (versions.length !== whole) throw new Error(`${versions.length} were read`)
      // Bytes that have changed since: all is refused.
      if (!truncate) {
        const read = new RevisionLog(path, sha256).read(log.end, () => {})
        if (
          await read.then(
            () => true,
            () => false,
          )
        )
          throw new Error('damage was read')
      }
    }),
    { numRuns: 300 },
  )
  const other = new RevisionLog(join(directory, 'body'), 'b'.repeat(64))
  t.equal(other.find(), undefined, 'the revisions of another body')
})

t.test('after a write that failed, nothing is appended any more', async (t) => {
  const log = new RevisionLog(join(tempDir(t), 'body'), sha256)
  await log.append(recordOf(1))
  const disk = await breakFs(t)
  disk.decide = (operation) => (operation === 'writev' ? systemError('ENOSPC') : undefined)
  await t.rejects(log.append(recordOf(2)), { code: 'ENOSPC' })
  t.equal(log.sound, false)
  disk.decide = () => undefined
  t.equal(log.find()?.token, 'token 1')
  writeFileSync(log.path, Buffer.concat([readFileSync(log.path), Buffer.from('x')]))
  await t.rejects(log.append(recordOf(3)), /instead of/)
  await log.unlink()
  await t.rejects(log.append(recordOf(3)), /removed/)
})
