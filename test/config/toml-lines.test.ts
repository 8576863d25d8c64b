import t from 'tap'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import { linesOfKeys } from '../../src/config/toml-lines.js'

/** Statements of TOML that bind one key, over one line or several. */
const values = [
  '1',
  '"x"',
  '"""\nb = 1\n[c]\n"""',
  '[\n 1, # [\n 2,\n]',
  "'''\n'''",
  '{ a = 1, b = 2 }',
  '1979-05-27',
]
const statement = fc.record({
  before: fc.constantFrom('', '\n', '# a = 1\n', '  '),
  value: fc.constantFrom(...values),
  after: fc.constantFrom('', ' # [comment', '\t'),
})

t.test('each key has the line where it begins', async (t) => {
  fc.assert(
    fc.property(fc.array(statement, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'), (statements, end) => {
      let text = ''
      const expected: [string, number][] = []
      for (const [index, { before, value, after }] of statements.entries()) {
        text += before
        expected.push([`k${index}`, text.split('\n').length])
        text += `k${index} = ${value}${after}\n`
      }
      t.same([...linesOfKeys(text.replaceAll('\n', end), parse)], expected)
    }),
    { numRuns: 200 },
  )
})

t.test('keys in tables are not at the top level', async (t) => {
  const text = 'a = 1\n[b]\na = 2\nc = 1\n[[d]]\nx = 1\n[[d]]\n[e.f]\ny = 1\n'
  t.same(Object.fromEntries(linesOfKeys(text, parse)), { a: 1, b: 2, d: 5, e: 8 })
  t.same(Object.fromEntries(linesOfKeys('a.b = 1\na.c = 2\n"q r" = 1\n', parse)), { a: 1, 'q r': 3 })
})

t.test('a text that is too long is not searched', async (t) => {
  t.equal(linesOfKeys(`a = 1\n#${'x'.repeat(2_000_000)}`, parse).size, 0)
  const array = `before = 1\na = [\n${'1,\n'.repeat(5000)}]\n`
  t.same([...linesOfKeys(array, parse).keys()], ['before'])
})
