import t from 'tap'
import { violations, type Write } from './history.js'

const write = (value: string, start: number, end: number): Write => ({ register: 'r', value, start, end })
const read = (value: string | undefined, start: number, end: number) => ({
  start,
  end,
  values: new Map(value === undefined ? [] : [['r', value]]),
})
const writes = [write('a', 0, 0), write('b', 10, 20), write('c', 30, 40)]

t.test('the checker accepts what may happen', async (t) => {
  t.same(violations(writes, [read('a', 1, 2), read('b', 21, 22), read('c', 41, 42)]), [])
  t.same(violations(writes, [read('a', 12, 13)]), [], 'during a write the old value may be seen')
  t.same(violations(writes, [read('b', 12, 13)]), [], 'or the new one')
  t.same(
    violations(writes, [read('b', 12, 14), read('a', 13, 15)]),
    [],
    'by reads that overlap, in any order',
  )
})

t.test('and finds what may not', async (t) => {
  t.match(violations(writes, [read('a', 21, 22)]), [/stale/])
  t.match(violations(writes, [read('c', 21, 22)]), [/before it was written/])
  t.match(violations(writes, [read('x', 21, 22)]), [/nobody wrote/])
  t.match(violations(writes, [read(undefined, 21, 22)]), [/nobody wrote/])
  t.match(violations(writes, [read('b', 12, 13), read('a', 14, 15)]), [/went back from version 1 to 0/])
})
