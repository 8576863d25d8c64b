import t from 'tap'
import { ConcurrencyLimit } from '../../../src/limits/queue/concurrency-limit.js'

/** Work that ends when it is told to, and what has begun of it. */
function makeWork() {
  const begun: number[] = []
  const ends: { end: () => void; fail: (error: Error) => void }[] = []
  const work = (number: number) => (): Promise<number> => {
    begun.push(number)
    return new Promise((resolve, reject) => {
      ends[number] = { end: () => resolve(number), fail: reject }
    })
  }
  return { begun, ends, work }
}

t.test('no more than the limit runs at once, and the others in the order of their arrival', async (t) => {
  const limit = new ConcurrencyLimit(2)
  const { begun, ends, work } = makeWork()
  const all = [0, 1, 2, 3, 4].map((number) => limit.submit(work(number)))
  t.strictSame(begun, [0, 1])
  ends[1]!.end()
  t.equal(await all[1]!.result, 1)
  t.strictSame(begun, [0, 1, 2])
  all[3]!.cancel()
  t.equal(await all[3]!.result, undefined, 'it was taken back')
  ends[0]!.fail(new Error('broken'))
  await t.rejects(all[0]!.result, { message: 'broken' })
  t.strictSame(begun, [0, 1, 2, 4], 'work that fails makes room too')
  all[4]!.cancel()
  for (const number of [2, 4]) ends[number]!.end()
  t.equal(await all[4]!.result, 4, 'what has begun is not taken back')
  t.equal(await all[2]!.result, 2)
})

t.test('work that throws at once makes room', async (t) => {
  const limit = new ConcurrencyLimit(1)
  const throws = (): Promise<never> => {
    throw new Error('at once')
  }
  const failed = limit.submit(throws)
  await t.rejects(failed.result, { message: 'at once' })
  t.equal(await limit.submit(() => Promise.resolve('done')).result, 'done')
})
