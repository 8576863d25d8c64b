import t from 'tap'
import { workerContext } from '../../../src/assembly/worker-context/context.js'
import { GatheredAnswers } from '../../../src/assembly/workers/gathered-answers.js'
import { FakeChannel } from '../../fleet/engines/workers/channel-pair.js'
import { eventually } from '../../support/eventually.js'
import { FakeClock } from '../../support/fake-clock.js'

function setUp() {
  const clock = new FakeClock()
  const gathered = new GatheredAnswers(clock)
  const add = (index: number, answer: (question: unknown) => Promise<unknown>) => {
    const [there, control] = FakeChannel.pair()
    gathered.add(index, there)
    const [fleet] = FakeChannel.pair()
    const place = { index, count: 2, isFirst: false, directory: '/', secret: '', passed: {}, pretty: false }
    return { control, ask: workerContext(place, { control, fleet }).shareAnswers(answer) }
  }
  return { clock, add }
}

t.test('a question of a worker is answered by all of them', async (t) => {
  const { add } = setUp()
  const { ask } = add(1, async (question) => ({ ...(question as object), by: 1 }))
  add(2, async (question) => ({ ...(question as object), by: 2 }))
  const [one, two] = await Promise.all([ask({ asks: 'one' }), ask({ asks: 'two' })])
  t.same(one, [
    { worker: 1, answer: { asks: 'one', by: 1 } },
    { worker: 2, answer: { asks: 'one', by: 2 } },
  ])
  t.match(two, [{ answer: { asks: 'two' } }, { answer: { asks: 'two' } }])
})

t.test('one that hangs, fails or ends is left out', async (t) => {
  const { clock, add } = setUp()
  const { ask } = add(1, async () => 'here')
  add(2, () => new Promise(() => {}))
  add(3, () => Promise.reject(new Error('broken')))
  let isLastAsked = false
  const ending = add(4, () => new Promise(() => (isLastAsked = true)))
  const asked = ask({})
  await eventually('all are asked, and one has answered', () => isLastAsked && clock.timers === 3)
  ending.control.close()
  clock.advance(1000)
  t.same(await asked, [{ worker: 1, answer: 'here' }])
  t.equal(clock.timers, 0)
})
