import t from 'tap'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DiskFile } from '../../../src/streamcache/disk/disk-file.js'
import { Blocks, blockSize } from '../../../src/streamcache/memory/blocks.js'
import { Spill } from '../../../src/streamcache/growing/spill.js'
import type { Spilled } from '../../../src/streamcache/growing/spill-options.js'
import { eventually } from '../../support/eventually.js'
import { growingFile, noSpace } from '../../support/growing-file.js'
import { bytesOf, collect, pending, readUntil, turns } from '../../support/producers.js'
import { openFilesUnder } from '../../support/stream-cache.js'
import { tempDir } from '../../support/temp-dir.js'

/** An owner whose bytes no follower reads. */
const owner: Spilled = {
  followed: false,
  sha256: undefined,
  fitsInMemory: false,
  spilled() {},
  unreachable() {},
}

t.test('a follower behind the bytes in memory reads from disk, and holds 32 KiB at most', async (t) => {
  const { file } = await growingFile(t, { hotMaxBytes: 0 })
  const follower = file.follow()
  const length = 3 * blockSize + 77
  for (let at = 0; at < length; at += 10_000) {
    await file.append(bytesOf(1, at, Math.min(10_000, length - at)))
  }
  await eventually('all full blocks left memory', () => file.hotBytes <= blockSize)
  let cold = 0
  while (follower.offset < 3 * blockSize) {
    const at = follower.offset
    const chunk = (await follower.read())!
    t.ok(chunk.equals(bytesOf(1, at, chunk.length)))
    t.ok(chunk.buffer.byteLength <= 32 * 1024)
    cold++
  }
  t.equal(cold, (3 * blockSize) / (32 * 1024))
  file.complete()
  await eventually('nothing is left in memory', () => file.hotBytes === 0)
  t.ok((await collect(file.follow())).equals(bytesOf(1, 0, length)))
  follower.close()
})

t.test('only bytes that are on disk leave memory', async (t) => {
  const { file, disk } = await growingFile(t, { hotMaxBytes: 0, stored: false })
  await file.append(bytesOf(1, 0, 4 * blockSize))
  file.complete()
  file.cool()
  t.equal(file.hotBytes, 4 * blockSize)
  file.spill.storeOn(disk)
  await eventually('all is on disk', () => file.hotBytes === 0)
  t.ok((await collect(file.follow())).equals(bytesOf(1, 0, 4 * blockSize)))
})

t.test('commit waits for the disk, then gives the file its metadata and its name', async (t) => {
  const { file, disk, directory } = await growingFile(t, { stored: false })
  await file.append(Buffer.from('abc'))
  file.complete()
  const path = join(directory, 'final')
  const committed = file.spill.commit(Buffer.from('-end'), path)
  t.ok(await pending(committed), 'the file on disk is not there yet')
  file.spill.storeOn(disk)
  t.equal(await committed, 7)
  t.same([readFileSync(path, 'utf8'), readFileSync(`${path}.meta`, 'utf8')], ['abc', '-end'])
  t.equal((await collect(file.follow())).toString(), 'abc')
})

t.test('an empty file is complete as well', async (t) => {
  const { file, directory } = await growingFile(t)
  const follower = file.follow()
  file.complete()
  t.equal((await collect(follower)).length, 0)
  t.equal(await file.spill.commit(Buffer.from('-end'), join(directory, 'final')), 4)
  t.equal(file.spill.load(), true)
})

t.test('an abandoned file serves its followers, then leaves memory and disk', async (t) => {
  const { file, hot, directory } = await growingFile(t, { hotMaxBytes: blockSize })
  const length = 5 * blockSize
  await file.append(bytesOf(1, 0, length))
  const slow = file.follow()
  file.complete()
  await readUntil(slow, 1)
  await file.spill.abandon()
  t.throws(() => readFileSync(join(directory, 'temporary')), { code: 'ENOENT' })
  await eventually('cooled although it has no name', () => file.hotBytes <= blockSize)
  for (let chunk = await slow.read(), at = blockSize; chunk; at += chunk.length, chunk = await slow.read()) {
    t.ok(chunk.equals(bytesOf(1, at, chunk.length)))
  }
  t.equal(slow.offset, length)
  t.ok(file.joinable)
  slow.close()
  t.same([file.hotBytes, hot.bytes], [0, 0])
  t.notOk(file.joinable, 'its bytes are gone')
  t.throws(() => file.follow(), /beginning/)
})

t.test('a file whose name cannot be removed is closed all the same', async (t) => {
  const { file, disk, hot, directory } = await growingFile(t)
  t.capture(disk, 'unlink', async () => Promise.reject(new Error('EROFS')))
  let closed = 0
  const close = disk.close.bind(disk)
  t.capture(disk, 'close', () => (closed++, close()))
  await file.append(Buffer.from('abc'))
  file.complete()
  await eventually('it is written', () => readFileSync(join(directory, 'temporary')).length === 3)
  await turns()
  await t.rejects(file.spill.abandon(), /EROFS/)
  await eventually('the handle is closed', () => closed > 0)
  t.same([file.hotBytes, hot.bytes], [0, 0])
})

t.test('a follower that is closed during a read harms no other', async (t) => {
  const { file, directory } = await growingFile(t, { hotMaxBytes: 0 })
  await file.append(bytesOf(1, 0, 2 * blockSize))
  file.complete()
  await file.spill.commit(Buffer.from('-end'), join(directory, 'final'))
  t.equal(file.hotBytes, 0)
  const [leaving, staying] = [file.follow(), file.follow()]
  const read = Promise.resolve(leaving.read())
  leaving.close()
  await t.rejects(read, /closed/)
  t.ok((await collect(staying)).equals(bytesOf(1, 0, 2 * blockSize)))
})

t.test('a failed read of an abandoned file is reported only while it has followers', async (t) => {
  for (const stays of [false, true]) {
    const { file, disk, readErrors } = await growingFile(t, { hotMaxBytes: 0 })
    await file.append(bytesOf(1, 0, 2 * blockSize))
    file.complete()
    await eventually('all is on disk only', () => file.hotBytes === 0)
    const leaving = file.follow()
    if (stays) file.follow()
    await file.spill.abandon()
    let close = (): void => {}
    // As if the handle was closed with the last follower, between two reads of one chunk.
    t.capture(disk, 'read', () => new Promise((_, reject) => (close = () => reject(new Error('EBADF')))))
    const read = Promise.resolve(leaving.read())
    leaving.close()
    close()
    await t.rejects(read, /closed/)
    await turns()
    t.equal(readErrors.length, stays ? 1 : 0)
  }
})

t.test('a disk that fails in the middle of a stream: no follower loses a byte', async (t) => {
  const test = await growingFile(t, { hotMaxBytes: 0 })
  const { file, disk } = test
  const [fast, slow] = [file.follow(), file.follow()]
  await file.append(bytesOf(1, 0, 2 * blockSize))
  await readUntil(fast, 2 * blockSize)
  await eventually('a part is on disk only', () => file.hotBytes === 0)
  t.capture(disk, 'write', async () => Promise.reject(noSpace()))
  await file.append(bytesOf(1, 2 * blockSize, 2 * blockSize))
  await eventually('the failure is reported', () => test.writeErrors.length > 0)
  await file.append(bytesOf(1, 4 * blockSize, 10))
  file.complete()
  t.ok((await collect(slow)).equals(bytesOf(1, 0, 4 * blockSize + 10)), 'from disk, then from memory')
  t.ok((await collect(file.follow())).equals(bytesOf(1, 0, 4 * blockSize + 10)))
  while (await fast.read());
  t.equal(fast.offset, 4 * blockSize + 10)
  t.equal(test.writeErrors.length, 1, 'it is reported once')
  t.equal(await file.spill.commit(Buffer.from('-end'), '/nowhere'), undefined, 'and not reported again')
  fast.close()
  await file.spill.abandon()
  t.equal(file.hotBytes, 0)
})

t.test(
  'what begins behind the first bytes is written and read back from there, and not committed',
  async (t) => {
    const directory = tempDir(t)
    const blocks = new Blocks()
    const spill = new Spill(owner, blocks, {}, false)
    blocks.append(bytesOf(1, 0, 3 * blockSize))
    spill.flush()
    t.same([spill.storing, spill.written], [false, 0], 'nothing is written before it begins')
    blocks.dropUntil(2 * blockSize)
    spill.begin(2 * blockSize)
    t.equal(spill.backlog, blockSize)
    const disk = await DiskFile.create(join(directory, 'file'))
    await spill.storeOn(disk)
    blocks.append(bytesOf(1, 3 * blockSize, 10))
    spill.flush()
    await eventually('it is written', () => spill.backlog === 0)
    t.ok(readFileSync(join(directory, 'file')).equals(bytesOf(1, 2 * blockSize, blockSize + 10)))
    t.ok((await spill.read(3 * blockSize)).equals(bytesOf(1, 3 * blockSize, 10)))
    await t.rejects(spill.read(blockSize), /not been verified/)
    t.equal(await spill.commit(Buffer.from('-end'), join(directory, 'final')), undefined)
    await spill.abandon()
    t.same(readdirSync(directory), [])
  },
)

t.test(
  'a file that is abandoned before it is on disk, or while it is written, is not committed',
  async (t) => {
    for (const early of [true, false]) {
      const directory = tempDir(t)
      const blocks = new Blocks()
      const spill = new Spill(owner, blocks)
      blocks.append(bytesOf(1, 0, 100))
      const committed = spill.commit(Buffer.from('-end'), join(directory, 'final'))
      const disk = await DiskFile.create(join(directory, 'file'))
      if (early) await spill.abandon()
      await spill.storeOn(disk)
      await spill.abandon()
      t.equal(await committed, undefined)
      await eventually('no file is left', () => readdirSync(directory).length === 0)
      t.same(openFilesUnder(directory), [])
    }
  },
)
