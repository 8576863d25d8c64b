import t from 'tap'
import type { Test } from 'tap'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CheckedFile } from '../../../src/streamcache/disk/checked-file.js'
import { defaultChunkSize as chunkSize } from '../../../src/streamcache/disk/chunk-sums.js'
import { DiskFile } from '../../../src/streamcache/disk/disk-file.js'
import { SharedReads } from '../../../src/streamcache/memory/shared-reads.js'
import { bytesOf } from '../../support/producers.js'
import { tempDir } from '../../support/temp-dir.js'

const bytes = bytesOf(1, 0, 3 * chunkSize + 10)
const sha256 = createHash('sha256').update(bytes).digest('hex')

/** A file that was written in two parts, and committed. */
async function committed(t: Test): Promise<{ file: CheckedFile; path: string }> {
  const directory = tempDir(t)
  const path = join(directory, 'final')
  const file = new CheckedFile(await DiskFile.create(join(directory, 'temporary')), true)
  t.teardown(() => file.disk.close())
  await file.write([bytes.subarray(0, 100)], 0)
  await file.write([bytes.subarray(100, 50_000), bytes.subarray(50_000)], 100)
  t.equal(await file.commit(Buffer.from('metadata'), bytes.length, path), bytes.length + 8)
  return { file, path }
}

/** Flips a bit in place, and resets the mtime. */
function flip(path: string, at: number): void {
  const { atime, mtime } = statSync(path)
  const changed = readFileSync(path)
  changed[at]! ^= 1
  writeFileSync(path, changed, { flag: 'r+' })
  utimesSync(path, atime, mtime)
}

t.test('bytes are read back to the end of their chunk', async (t) => {
  const { file } = await committed(t)
  t.ok((await file.read(5)).equals(bytes.subarray(5, chunkSize)))
  t.ok((await file.read(3 * chunkSize + 1)).equals(bytes.subarray(3 * chunkSize + 1)))
  t.same([file.covers(bytes.length - 1), file.covers(bytes.length)], [true, false])
})

t.test(
  'a changed chunk is detected when it is read, and the file no longer counts as verified',
  async (t) => {
    const { file, path } = await committed(t)
    flip(path, chunkSize)
    t.ok((await file.read(0)).equals(bytes.subarray(0, chunkSize)), 'another chunk can be read')
    t.ok(file.verified)
    await t.rejects(file.read(chunkSize), { name: 'Damage' })
    t.notOk(file.verified)
  },
)

t.test('errors of the system do not end the verification', async (t) => {
  const { file } = await committed(t)
  t.capture(file.disk, 'read', async () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })))
  await t.rejects(file.read(0), { code: 'EIO' })
  t.ok(file.verified)
})

t.test('an adopted file has no checksums before verify() has read it', async (t) => {
  const { file: before, path } = await committed(t)
  before.disk.close()
  const file = new CheckedFile(DiskFile.committed(path, bytes.length), false)
  t.teardown(() => file.disk.close())
  t.same([file.verified, file.covers(0)], [false, false])
  const blocks: Buffer[] = []
  await file.verify(bytes.length, sha256, (block) => blocks.push(block))
  t.ok(Buffer.concat(blocks).equals(bytes))
  t.same([file.verified, file.covers(0), await file.isUntouched()], [true, true, true])
})

t.test('verify() rejects other bytes, and fewer', async (t) => {
  for (const damage of [(path: string) => flip(path, 7), (path: string) => truncateSync(path, 10)]) {
    const { file, path } = await committed(t)
    damage(path)
    t.notOk(await file.isUntouched())
    await t.rejects(
      file.verify(bytes.length, sha256, () => {}),
      { name: 'Damage' },
    )
  }
})

t.test('a committed file is the body alone, and its metadata stands beside it', async (t) => {
  const { path } = await committed(t)
  t.ok(readFileSync(path).equals(bytes))
  t.equal(readFileSync(`${path}.meta`, 'utf8'), 'metadata')
})

t.test('a read returns as many bytes as the chunk size says', async (t) => {
  for (const size of [1000, 256 * 1024]) {
    const file = new CheckedFile(await DiskFile.create(join(tempDir(t), 'file')), true, { chunkSize: size })
    t.teardown(() => file.disk.close())
    await file.write([bytes], 0)
    t.ok((await file.read(999)).equals(bytes.subarray(999, size)))
    await file.verify(bytes.length, sha256, () => {})
    t.ok((await file.read(size - 1)).equals(bytes.subarray(size - 1, size)), 'also once it is verified')
  }
})

t.test('a file that begins behind the beginning of its entry', async (t) => {
  const directory = tempDir(t)
  const path = join(directory, 'temporary')
  const base = 3 * chunkSize
  const file = new CheckedFile(await DiskFile.create(path), true, { base })
  t.teardown(() => file.disk.close())
  await file.write([bytes.subarray(0, 100)], base)
  await file.write([bytes.subarray(100)], base + 100)
  t.ok(readFileSync(path).equals(bytes), 'its first byte is the one at the base')
  t.ok((await file.read(base + 5)).equals(bytes.subarray(5, chunkSize)))
  t.ok((await file.read(base + chunkSize)).equals(bytes.subarray(chunkSize, 2 * chunkSize)))
  const end = base + bytes.length
  t.same(
    [0, base - 1, base, end - 1, end].map((offset) => file.covers(offset)),
    [false, false, true, true, false],
  )
  await t.rejects(file.read(base - 1), /not in this file/)
  await t.rejects(file.commit(Buffer.from('metadata'), end, join(directory, 'final')), /not in this file/)
  await t.rejects(
    file.verify(end, sha256, () => {}),
    /not in this file/,
  )
  t.notOk(existsSync(join(directory, 'final.meta')))
  flip(path, chunkSize)
  await t.rejects(file.read(base + chunkSize), { name: 'Damage' })
})

t.test('a base that splits a chunk is refused', async (t) => {
  const disk = DiskFile.committed('/nowhere', 0)
  t.throws(() => new CheckedFile(disk, true, { base: 100 }), /100 is not a multiple of 32768/)
  t.doesNotThrow(() => new CheckedFile(disk, true, { base: 100, chunkSize: 50 }))
})

t.test('readers share what is read of one file, and its damage', async (t) => {
  const directory = tempDir(t)
  const reads = new SharedReads(10)
  const create = async (name: string): Promise<CheckedFile> => {
    const file = new CheckedFile(await DiskFile.create(join(directory, name)), true, { reads })
    t.teardown(() => file.disk.close())
    return file
  }
  const [file, other] = await Promise.all(['file', 'other'].map(create))
  await file!.write([bytes.subarray(0, 100)], 0)
  await other!.write([bytes.subarray(100, 200)], 0)
  let fromDisk = 0
  const { disk } = file!
  const read = disk.read.bind(disk)
  t.capture(disk, 'read', (...args: Parameters<typeof read>) => (fromDisk++, read(...args)))
  const parts = await Promise.all([0, 50, 99].map((offset) => file!.read(offset)))
  t.same(
    parts.map((part) => part.length),
    [100, 50, 1],
  )
  t.ok(parts[1]!.equals(bytes.subarray(50, 100)))
  t.equal(fromDisk, 1)
  t.ok((await other!.read(0)).equals(bytes.subarray(100, 200)), 'another file has other bytes')

  await file!.write([bytes.subarray(100)], 100)
  t.ok((await file!.read(0)).equals(bytes.subarray(0, chunkSize)), 'a chunk that has grown is read again')
  flip(join(directory, 'file'), chunkSize)
  for (const damaged of [1, 2].map(() => file!.read(chunkSize))) await t.rejects(damaged, { name: 'Damage' })
  t.notOk(file!.verified)
})
