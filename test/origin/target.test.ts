import t from 'tap'
import { RepositoryExchanged } from '../../src/git/state/reopen-repository.js'
import { untilUnexchanged } from '../../src/origin/target.js'
import { FillError } from '../../src/streamcache/index.js'

/** Returns an attempt that fails with these errors one after another, and succeeds then. */
function attempts(...errors: readonly unknown[]) {
  const left = [...errors]
  const calls = { count: 0 }
  const attempt = async (): Promise<string> => {
    calls.count++
    if (left.length > 0) throw left.shift()
    return 'answer'
  }
  return { attempt, calls }
}

const exchanged = new RepositoryExchanged()

t.test('a request starts again if its path leads to another repository', async (t) => {
  const { attempt, calls } = attempts(exchanged, new FillError('producer', 'exchanged', { cause: exchanged }))
  t.equal(await untilUnexchanged(attempt, () => true), 'answer')
  t.equal(calls.count, 3)
})

t.test('not if something has been sent, not for another error, and not for ever', async (t) => {
  const sent = attempts(exchanged)
  await t.rejects(
    untilUnexchanged(sent.attempt, () => false),
    exchanged,
  )
  const other = attempts(new Error('other'))
  await t.rejects(
    untilUnexchanged(other.attempt, () => true),
    { message: 'other' },
  )
  const always = attempts(...Array.from({ length: 10 }, () => exchanged))
  await t.rejects(
    untilUnexchanged(always.attempt, () => true),
    exchanged,
  )
  t.same(
    [sent, other, always].map(({ calls }) => calls.count),
    [1, 1, 4],
  )
})
