import t from 'tap'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { blockSize } from '../../src/streamcache/blocks.js'
import { eventually } from '../support/eventually.js'
import { growingFile } from '../support/growing-file.js'
import { bytesOf, collect, pending, readUntil, turns } from '../support/sources.js'

t.test('followers get bytes before the end, each from byte 0', async (t) => {
  const test = await growingFile(t)
  const { file } = test
  const early = file.follow()
  const waiting = Promise.resolve(early.read())
  t.ok(await pending(waiting))
  await file.append(Buffer.from('abc'))
  t.equal(String(await waiting), 'abc')
  const late = file.follow()
  t.equal(String(await late.read()), 'abc')
  t.equal(late.size, undefined)
  t.equal(test.followers, 2)

  const rest = [early.read(), late.read()].map((read) => Promise.resolve(read))
  await file.append(Buffer.from('de'))
  t.same((await Promise.all(rest)).map(String), ['de', 'de'])
  const ends = [early.read(), late.read()].map((read) => Promise.resolve(read))
  file.complete()
  t.same(await Promise.all(ends), [null, null])
  t.equal(late.size, 5)
  t.equal(file.sha256, createHash('sha256').update('abcde').digest('hex'))
  t.equal((await collect(file.follow())).toString(), 'abcde', 'one who comes after the end')
  early.close()
  late.close()
  t.equal(test.followers, 0)
})

t.test('failure reaches every follower, wherever it is, and nobody may come', async (t) => {
  const { file } = await growingFile(t)
  const [atEnd, atStart] = [file.follow(), file.follow()]
  await file.append(Buffer.from('abc'))
  atEnd.read()
  const waiting = Promise.resolve(atEnd.read())
  const broken = new Error('broken')
  file.fail(broken)
  await t.rejects(waiting, broken)
  t.throws(() => atStart.read(), broken, 'bytes that are there are held back: they may be worth nothing')
  t.throws(() => file.follow(), broken)
  t.notOk(file.joinable)

  await file.append(Buffer.from('more'))
  file.complete()
  file.fail(new Error('another'))
  t.throws(() => atStart.read(), broken, 'the first end stands')
  t.same([file.length, file.size, file.sha256], [3, undefined, undefined])
  atEnd.close()
  atStart.close()
})

t.test('followers of one file share its buffers', async (t) => {
  const { file } = await growingFile(t)
  await file.append(bytesOf(1, 0, 2 * blockSize))
  const followers = Array.from({ length: 20 }, () => file.follow())
  const chunks = followers.map((follower) => follower.read() as Buffer)
  t.equal(new Set(chunks.map((chunk) => chunk.buffer)).size, 1)
  t.equal(file.hotBytes, 2 * blockSize)
  for (const follower of followers) follower.close()
})

t.test('a follower behind the memory reads from disk, and holds 64 KiB at most', async (t) => {
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
    t.ok(chunk.buffer.byteLength <= 64 * 1024)
    cold++
  }
  t.equal(cold, 12)
  file.complete()
  await eventually('nothing is left in memory', () => file.hotBytes === 0)
  t.ok((await collect(file.follow())).equals(bytesOf(1, 0, length)))
  follower.close()
})

t.test('memory gives way only to what is on disk', async (t) => {
  const { file, disk } = await growingFile(t, { hotMaxBytes: 0, stored: false })
  await file.append(bytesOf(1, 0, 4 * blockSize))
  file.complete()
  file.cool()
  t.equal(file.hotBytes, 4 * blockSize)
  file.storeOn(disk)
  await eventually('all is on disk', () => file.hotBytes === 0)
  t.ok((await collect(file.follow())).equals(bytesOf(1, 0, 4 * blockSize)))
})

t.test('the budget counts what a growing file really takes', async (t) => {
  const { file, hot } = await growingFile(t)
  for (let count = 1; count <= 8; count++) {
    await file.append(bytesOf(1, file.length, blockSize))
    t.equal(hot.bytes, count * blockSize)
  }
  await file.append(Buffer.from('x'))
  file.complete()
  t.equal(hot.bytes, 8 * blockSize + 1, 'the last block is cut to its content')
})

t.test('commit waits for the disk, then gives the file its footer and its name', async (t) => {
  const { file, disk, directory } = await growingFile(t, { stored: false })
  await file.append(Buffer.from('abc'))
  file.complete()
  const path = join(directory, 'final')
  const committed = file.commit(Buffer.from('-end'), path)
  t.ok(await pending(committed), 'the file on disk is not there yet')
  file.storeOn(disk)
  t.equal(await committed, 7)
  t.equal(readFileSync(path, 'utf8'), 'abc-end')
  t.equal((await collect(file.follow())).toString(), 'abc', 'the footer is nobody’s business')
})

t.test('an empty file is whole as well', async (t) => {
  const { file, directory } = await growingFile(t)
  const follower = file.follow()
  file.complete()
  t.equal((await collect(follower)).length, 0)
  t.equal(await file.commit(Buffer.from('-end'), join(directory, 'final')), 4)
  t.equal(file.load(), true)
})

t.test('an abandoned file serves those who read it, then lets go of memory and disk', async (t) => {
  const { file, hot, directory } = await growingFile(t, { hotMaxBytes: blockSize })
  const length = 5 * blockSize
  await file.append(bytesOf(1, 0, length))
  const slow = file.follow()
  file.complete()
  await readUntil(slow, 1)
  await file.abandon()
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

t.test('a file whose name cannot be removed lets go all the same', async (t) => {
  const { file, disk, hot, directory } = await growingFile(t)
  t.capture(disk, 'unlink', async () => Promise.reject(new Error('EROFS')))
  let closed = 0
  const close = disk.close.bind(disk)
  t.capture(disk, 'close', () => (closed++, close()))
  await file.append(Buffer.from('abc'))
  file.complete()
  await eventually('it is written', () => readFileSync(join(directory, 'temporary')).length === 3)
  await turns()
  await t.rejects(file.abandon(), /EROFS/)
  await eventually('the handle is closed', () => closed > 0)
  t.same([file.hotBytes, hot.bytes], [0, 0])
})

t.test('a read that runs when its follower leaves does no harm', async (t) => {
  const { file, directory } = await growingFile(t, { hotMaxBytes: 0 })
  await file.append(bytesOf(1, 0, 2 * blockSize))
  file.complete()
  await file.commit(Buffer.from('-end'), join(directory, 'final'))
  t.equal(file.hotBytes, 0)
  const [leaving, staying] = [file.follow(), file.follow()]
  const read = Promise.resolve(leaving.read())
  leaving.close()
  await t.rejects(read, /closed/)
  t.ok((await collect(staying)).equals(bytesOf(1, 0, 2 * blockSize)))
})
