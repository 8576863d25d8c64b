import t from 'tap'
import { columns } from '../../../src/cli/live/columns.js'

t.test('cells are aligned, numbers at the right, and the last one is as long as it is', async (t) => {
  t.same(
    columns([
      ['age', 'what', 'key'],
      ['1.5 s', 'git', 'a'],
      ['12 s', 'upstream', 'b c'],
    ]),
    ['  age  what      key', '1.5 s  git       a', ' 12 s  upstream  b c'],
  )
  t.same(columns([]), [])
})

t.test('control characters in a cell cannot move the others', async (t) => {
  t.same(
    columns([
      ['a\n', 'b'],
      ['cc', 'd'],
    ]),
    ['a\\x0a  b', 'cc     d'],
  )
})
