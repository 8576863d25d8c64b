import t from 'tap'
import { Activity } from '../../src/status/activity.js'

t.test('requests are counted by outcome and by repository', async (t) => {
  const activity = new Activity()
  const ended = (repository: string | undefined, outcome: string, sentBytes: number): void =>
    activity.ended({
      ...{ id: '', transport: 'http', method: 'GET', kind: 'advertisement', version: 2, elapsedMs: 1 },
      ...{ shownRepository: repository, outcome, sentBytes, waitedMs: 0, firstByteMs: 1, user: undefined },
      details: () => ({ status: 200, attributes: {} }),
    })
  ended('a', 'hit', 10)
  ended('a', 'hit', 10)
  ended('b', 'filled', 100)
  ended(undefined, 'rejected', 0)
  t.same(activity.outcomes, { hit: 2, filled: 1, rejected: 1 })
  t.equal(activity.sentBytes, 120)
  t.same(
    activity.byRequests.top(9).map(({ key }) => key),
    ['a', 'b'],
  )
  t.same(
    activity.byBytes.top(9).map(({ key, count }) => `${key} ${count}`),
    ['b 100', 'a 20'],
  )
})
