import t from 'tap'
import fc from 'fast-check'
import { anonymous, viewOf } from '../../../../src/origin/upstream/credentials/view.js'

t.test('a view is a hash of 256 bits, or anonymous without credentials', async (t) => {
  t.equal(viewOf({}), anonymous)
  t.equal(viewOf({ authorization: undefined, cookie: [] }), anonymous)
  const view = viewOf({ authorization: 'Basic YTpi' })
  t.match(view, /^[\w-]{43}$/)
  t.equal(viewOf({ authorization: ['Basic YTpi'] }), view, 'one value, however it is given')
  t.notMatch(view, /YTpi/)
})

t.test('what is absent differs from what is empty', async (t) => {
  const views = [
    {},
    { authorization: '' },
    { cookie: '' },
    { authorization: '', cookie: '' },
    { authorization: ['', ''] },
    { authorization: 'a', cookie: 'b' },
    { authorization: 'b', cookie: 'a' },
    { authorization: 'a","b' },
    { authorization: ['a', 'b'] },
    { authorization: ['b', 'a'] },
    { authorization: 'A', cookie: 'b' },
  ].map(viewOf)
  t.equal(new Set(views).size, views.length)
})

t.test('views are equal exactly if the credentials are', async () => {
  const values = fc.array(fc.string({ unit: fc.constantFrom('a', '"', ',', '[', '\\', 'é'), maxLength: 3 }), {
    maxLength: 2,
  })
  const credentials = fc.record({ authorization: values, cookie: values })
  fc.assert(
    fc.property(credentials, credentials, (one, other) => {
      const equal = JSON.stringify(one) === JSON.stringify(other)
      return (viewOf(one) === viewOf(other)) === equal
    }),
    { numRuns: 500 },
  )
})
