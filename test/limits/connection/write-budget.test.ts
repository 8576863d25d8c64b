import t from 'tap'
import { WriteBudget } from '../../../src/limits/connection/write-budget.js'
import { turns } from '../../support/producers.js'

/** A budget of 10 bytes per turn; the test ends the turns. */
function create() {
  let ends: (() => void)[] = []
  const budget = new WriteBudget(10, (call) => ends.push(call))
  const gone: string[] = []
  return {
    gone,
    /** Writes at once, or as soon as the budget allows it. */
    take: (name: string, bytes: number): void => {
      const turn = budget.take(bytes)
      if (turn) void turn.then(() => gone.push(name))
      else gone.push(name)
    },
    endIteration: async (): Promise<void> => {
      const due = ends
      ends = []
      for (const end of due) end()
      await turns()
    },
    turnsAsked: () => ends.length,
  }
}

t.test('a turn writes its budget; later turns write the rest, in order', async (t) => {
  const { gone, take, endIteration, turnsAsked } = create()
  for (const name of ['a', 'b', 'c', 'd', 'e']) take(name, 6)
  t.same(gone, ['a', 'b'], 'the last write of a turn may be of any size')
  t.equal(turnsAsked(), 1)
  await endIteration()
  take('f', 1)
  t.same(gone, ['a', 'b', 'c', 'd'], 'a new write does not overtake')
  await endIteration()
  t.same(gone, ['a', 'b', 'c', 'd', 'e', 'f'])
  await endIteration()
  t.equal(turnsAsked(), 0, 'without writes turns are not watched')
})

t.test('a turn with few bytes delays no write', async (t) => {
  const { gone, take, endIteration } = create()
  for (let turn = 0; turn < 3; turn++) {
    take('a', 9)
    t.equal(gone.length, turn + 1)
    await endIteration()
  }
})

t.test('a write of more than the budget goes out all the same', async (t) => {
  const { gone, take, endIteration } = create()
  take('a', 1000)
  take('b', 1000)
  t.same(gone, ['a'])
  await endIteration()
  t.same(gone, ['a', 'b'])
})

t.test('by default turns are those of the event loop', async (t) => {
  const budget = new WriteBudget(1)
  t.equal(budget.take(1), undefined)
  await budget.take(1)
  await budget.take(1)
})
