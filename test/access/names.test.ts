import t from 'tap'
import fc from 'fast-check'
import { matchesName } from '../../src/access/names.js'

t.test('a star stands for any characters', async (t) => {
  const yes = [
    ['alice', 'alice'],
    ['*', ''],
    ['*', 'a/b.c\nd'],
    ['ci-*', 'ci-'],
    ['*.example', 'a.b.example'],
    ['a*b*c', 'a-b-b-c'],
    ['**', 'x'],
  ]
  for (const [pattern = '', name = ''] of yes) t.ok(matchesName(pattern, name), `${pattern} ${name}`)
  const no = [
    ['alice', 'alice2'],
    ['', 'x'],
    ['ab*ba', 'aba'],
    ['a*b*c', 'a-c-b'],
    ['*.example', 'example'],
    ['a.c', 'abc'],
  ]
  for (const [pattern = '', name = ''] of no) t.notOk(matchesName(pattern, name), `${pattern} ${name}`)
})

t.test('as a regular expression would', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 })
  fc.assert(
    fc.property(text, text, (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll('*', '[^]*')}$`)
      return matchesName(pattern, name) === expression.test(name)
    }),
  )
})

t.test('a long name that nearly fits takes no longer than its length', async (t) => {
  const name = 'a'.repeat(20_000)
  t.notOk(matchesName(`${'*a'.repeat(50)}*b`, name))
  t.ok(matchesName('*a'.repeat(50), name))
})
