import t from 'tap'
import { Follower, type Followed } from '../../../src/streamcache/growing/follower.js'
import { collect, pending } from '../../support/producers.js'

/** A file whose reads the test answers. */
class FakeFile implements Followed {
  size: number | undefined
  readonly calls: string[] = []
  #answer: () => Buffer | null | Promise<Buffer | null>

  constructor(answer: () => Buffer | null | Promise<Buffer | null>) {
    this.#answer = answer
  }
  read(offset: number): Buffer | null | Promise<Buffer | null> {
    this.calls.push(`read ${offset}`)
    return this.#answer()
  }
  advanced(): void {
    this.calls.push('advanced')
  }
  detach(): void {
    this.calls.push('detached')
  }
}

t.test('bytes in memory come without a promise, and advance the follower', async (t) => {
  const file = new FakeFile(() => Buffer.from('abc'))
  const follower = new Follower(file)
  t.same(follower.read(), Buffer.from('abc'))
  t.equal(follower.offset, 3)
  follower.read()
  t.same(file.calls, ['read 0', 'advanced', 'read 3', 'advanced'])
  t.equal(follower.size, undefined)
  file.size = 6
  t.equal(follower.size, 6)
})

t.test('later bytes advance it when they come', async (t) => {
  const file = new FakeFile(async () => Buffer.from('abc'))
  const follower = new Follower(file)
  const read = follower.read()
  t.equal(follower.offset, 0)
  t.same(await read, Buffer.from('abc'))
  t.equal(follower.offset, 3)
})

t.test('closing interrupts a pending read for good', async (t) => {
  let answer!: (bytes: Buffer) => void
  const file = new FakeFile(() => new Promise((resolve) => (answer = resolve)))
  const follower = new Follower(file)
  const read = Promise.resolve(follower.read())
  const rejected = t.rejects(read, /closed/)
  t.ok(await pending(read))
  follower.close()
  await rejected
  t.throws(() => follower.read(), /closed/)

  follower.close()
  answer(Buffer.from('late'))
  await Promise.resolve()
  t.equal(follower.offset, 0, 'bytes that come later do not count')
  t.same(file.calls, ['read 0', 'detached'], 'it is detached once')
})

t.test('an iteration ends with the stream and closes the follower', async (t) => {
  const answers = [Buffer.from('ab'), Buffer.from('c'), null]
  const file = new FakeFile(() => answers.shift() ?? null)
  t.equal((await collect(new Follower(file))).toString(), 'abc')
  t.equal(file.calls.at(-1), 'detached')
})

t.test('an iteration that ends early, or with the error of the fill, closes the follower', async (t) => {
  const left = new FakeFile(() => Buffer.from('ab'))
  for await (const chunk of new Follower(left)) {
    t.equal(chunk.length, 2)
    break
  }
  t.equal(left.calls.at(-1), 'detached')

  for (const failure of [
    () => Promise.reject(new Error('broken')),
    () => {
      throw new Error('broken')
    },
  ]) {
    const failed = new FakeFile(failure)
    await t.rejects(collect(new Follower(failed)), /broken/)
    t.equal(failed.calls.at(-1), 'detached')
  }
})

t.test('it can be closed with an error, which its reader gets', async (t) => {
  const file = new FakeFile(() => new Promise(() => {}))
  const follower = new Follower(file)
  const read = Promise.resolve(follower.read())
  t.ok(follower.waiting)
  follower.close(new Error('too slow'))
  await t.rejects(read, /too slow/)
  t.throws(() => follower.read(), /too slow/)
  t.notOk(follower.waiting)
  follower.close()
  t.throws(() => follower.read(), /too slow/)
})

t.test('it waits only as long as a read is pending', async (t) => {
  let answer!: (bytes: Buffer) => void
  const follower = new Follower(new FakeFile(() => new Promise((resolve) => (answer = resolve))))
  t.notOk(follower.waiting)
  const read = follower.read()
  t.ok(follower.waiting)
  answer(Buffer.from('abc'))
  await read
  t.notOk(follower.waiting)
})
