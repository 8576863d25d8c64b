import t from 'tap'
import { createHash } from 'node:crypto'
import { blockSize } from '../../../src/streamcache/memory/blocks.js'
import { growingFile } from '../../support/growing-file.js'
import { bytesOf, collect, pending } from '../../support/producers.js'

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
  t.equal((await collect(file.follow())).toString(), 'abcde', 'a follower that comes after the end')
  early.close()
  late.close()
  t.equal(test.followers, 0)
})

t.test(
  'a follower that waits at the end gets the first bytes at once, then whole blocks, or more after a moment',
  async (t) => {
    const { file } = await growingFile(t)
    const follower = file.follow()
    let came = ''
    const read = async (): Promise<void> => void (came = `${(await follower.read())?.length}`)
    /** What has come before a timer could fire. */
    const atOnce = async (): Promise<string> => {
      for (let hop = 0; hop < 20; hop++) await Promise.resolve()
      const seen = came
      came = ''
      return seen
    }
    void read()
    await file.append(Buffer.alloc(100))
    t.equal(await atOnce(), '100')
    const second = read()
    await file.append(Buffer.alloc(100))
    t.equal(await atOnce(), '')
    await file.append(Buffer.alloc(blockSize))
    t.equal(await atOnce(), `${blockSize - 100}`)
    await second
    await read()
    t.equal(await atOnce(), '200')
    const last = read()
    await file.append(Buffer.alloc(1))
    t.equal(await atOnce(), '')
    await last
    t.equal(came, '1')
    follower.close()
  },
)

t.test('a failure reaches every follower, wherever it is, and none may join', async (t) => {
  const { file } = await growingFile(t)
  const [atEnd, atStart] = [file.follow(), file.follow()]
  await file.append(Buffer.from('abc'))
  atEnd.read()
  const waiting = Promise.resolve(atEnd.read())
  const broken = new Error('broken')
  file.fail(broken)
  await t.rejects(waiting, broken)
  t.throws(() => atStart.read(), broken, 'bytes in memory are held back: they may be wrong')
  t.throws(() => file.follow(), broken)
  t.notOk(file.joinable)

  await file.append(Buffer.from('more'))
  file.complete()
  file.fail(new Error('another'))
  t.throws(() => atStart.read(), broken, 'the first end is final')
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

t.test('the budget counts the memory that a growing file really uses', async (t) => {
  const { file, hot } = await growingFile(t)
  for (let count = 1; count <= 8; count++) {
    await file.append(bytesOf(1, file.length, blockSize))
    t.equal(hot.bytes, count * blockSize)
  }
  await file.append(Buffer.from('x'))
  file.complete()
  t.equal(hot.bytes, 8 * blockSize + 1, 'the last block is cut to its content')
})
