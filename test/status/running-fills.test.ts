import t from 'tap'
import { RunningFills, type GrowingEntry } from '../../src/status/running-fills.js'

const growing: GrowingEntry = { key: 'k', length: 0, size: undefined, begun: false, followers: 1 }

t.test('a fill is shown with its phase until it is removed', async (t) => {
  const fills = new RunningFills()
  let entry: GrowingEntry = growing
  const live: GrowingEntry = {
    get key() {
      return entry.key
    },
    get length() {
      return entry.length
    },
    get size() {
      return entry.size
    },
    get begun() {
      return entry.begun
    },
    get followers() {
      return entry.followers
    },
  }
  const remove = fills.add('pack', () => 'peer', live)
  const shown = () => fills.list(9).map(({ phase, bytes, followers }) => `${phase} ${bytes} ${followers}`)
  t.same(shown(), ['waiting 0 1'])
  t.match(fills.list(1)[0], { id: 1, kind: 'pack', key: 'k', producer: 'peer' })
  entry = { ...growing, begun: true }
  t.same(shown(), ['begun 0 1'])
  entry = { ...growing, begun: true, length: 5, followers: 7 }
  t.same(shown(), ['streaming 5 7'])
  entry = { ...growing, begun: true, length: 5, size: 5 }
  t.same(shown(), ['committing 5 1'])
  remove()
  t.same([fills.size, shown()], [0, []])
})

t.test('the oldest come first, and no more than are asked for', async (t) => {
  const fills = new RunningFills()
  for (const key of ['a', 'b', 'c']) fills.add('pack', () => 'git', { ...growing, key })
  t.same(
    fills.list(2).map(({ key }) => key),
    ['a', 'b'],
  )
})
