import t from 'tap'
import { Line, type Place } from '../../../src/limits/queue/line.js'

/** Empties a line from its beginning. */
function served<T>(line: Line<T>): T[] {
  const values: T[] = []
  for (let place: Place<T> | undefined = line.first; place; place = line.first) {
    values.push(place.value)
    line.leave(place)
  }
  return values
}

t.test('values are served in the order in which they came', async (t) => {
  const line = new Line<string>()
  t.equal(line.first, undefined)
  for (const value of 'abc') line.enter(value)
  t.equal(line.size, 3)
  t.same(served(line), ['a', 'b', 'c'])
  t.equal(line.size, 0)
  line.enter('d')
  t.same(served(line), ['d'], 'an empty line begins anew')
})

t.test('a value may leave from anywhere, once', async (t) => {
  for (const left of [0, 1, 2]) {
    const line = new Line<number>()
    const places = [0, 1, 2].map((value) => line.enter(value))
    t.equal(line.leave(places[left]!), true)
    t.equal(line.leave(places[left]!), false)
    t.equal(line.size, 2)
    line.enter(3)
    t.same(
      served(line),
      [0, 1, 2, 3].filter((value) => value !== left),
    )
  }
})

t.test('a place that was left refers to no other', async (t) => {
  const line = new Line<number>()
  const places = [0, 1, 2].map((value) => line.enter(value))
  line.leave(places[1]!)
  t.strictSame(
    Object.values(places[1]!).filter((value) => typeof value === 'object'),
    [],
  )
})
