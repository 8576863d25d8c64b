import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { PauseWatch } from '../../../src/git/process/pause-watch.js'
import { eventually } from '../../support/eventually.js'

t.test('a pause that lasts is reported until it is taken note of', async (t) => {
  let calls = 0
  const watch = new PauseWatch(1, () => ++calls === 2)
  t.teardown(() => watch.close())
  watch.begin()
  await eventually('it is reported twice', () => calls === 2)
  await sleep(10)
  t.equal(calls, 2)
})

t.test('neither a pause that is over nor a closed watch reports anything', async (t) => {
  let calls = 0
  const count = (): boolean => ++calls < 0
  const ended = new PauseWatch(1, count)
  t.teardown(() => ended.close())
  ended.begin()
  ended.end()
  const closed = new PauseWatch(1, count)
  closed.begin()
  closed.close()
  await sleep(10)
  t.equal(calls, 0)
})
