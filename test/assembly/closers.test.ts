import t from 'tap'
import { Closers } from '../../src/assembly/closers.js'
import { pending } from '../support/producers.js'

t.test('parts are closed one after another, the last opened first, and once', async (t) => {
  const closed: string[] = []
  const closers = new Closers()
  closers.add(() => void closed.push('first'))
  closers.add(async () => {
    await Promise.resolve()
    closed.push('second')
  })
  await closers.close()
  await closers.close()
  t.same(closed, ['second', 'first'])
})

t.test('a second call waits for the first one', async (t) => {
  let release!: () => void
  const closers = new Closers()
  closers.add(() => new Promise<void>((resolve) => (release = resolve)))
  const calls = [closers.close(), closers.close()]
  t.ok(await pending(calls[1]!))
  release()
  await Promise.all(calls)
})

t.test('a part that fails to close keeps no other open, and its error is thrown', async (t) => {
  const closed: string[] = []
  const closers = new Closers()
  closers.add(() => void closed.push('first'))
  closers.add(() => Promise.reject(new Error('rejects')))
  closers.add(() => {
    throw new Error('throws')
  })
  await t.rejects(closers.close(), { message: 'throws' })
  t.same(closed, ['first'])
})
