import t from 'tap'
import fc from 'fast-check'
import { any, matchesSequence } from '../../../src/config/values/sequence.js'

const letters = fc.array(fc.constantFrom('a', 'b'), { maxLength: 12 })
const form = fc.array(fc.constantFrom('a', 'b', any), { maxLength: 8 })

t.test('patterns match as regular expressions do', async () => {
  fc.assert(
    fc.property(form, letters, (pattern, items) => {
      const expression = pattern.map((part) => (part === any ? '[^]*' : part)).join('')
      const expected = new RegExp(`^${expression}$`).test(items.join(''))
      return matchesSequence<string, string>(pattern, items, (part, item) => part === item) === expected
    }),
    { numRuns: 2000 },
  )
})

t.test('each part is compared with each item at most once', async () => {
  const long = fc.array(fc.constantFrom('a', 'a', 'a', 'b'), { maxLength: 300 })
  const many = fc.array(fc.constantFrom('a', 'b', any, any), { maxLength: 40 })
  fc.assert(
    fc.property(many, long, (parts, items) => {
      const met = new Set<number>()
      let twice = false
      const pattern = parts.map((part, index) => (part === any ? any : { part, index }))
      matchesSequence<{ part: string; index: number }, { item: string; at: number }>(
        pattern,
        items.map((item, at) => ({ item, at })),
        ({ part, index }, { item, at }) => {
          const pair = index * items.length + at
          twice ||= met.has(pair)
          met.add(pair)
          return part === item
        },
      )
      return !twice
    }),
    { numRuns: 500 },
  )
})
