import t from 'tap'
import { Closers } from '../../src/assembly/closers.js'

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
