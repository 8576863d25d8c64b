import t from 'tap'
import { countedPrefixes } from '../../../src/git/protocol/ls-refs.js'

t.test('Git drops its prefixes when there are 65,536', async (t) => {
  const prefixes = Array.from({ length: 65_535 }, (_, index) => `refs/x/${index}`)
  t.equal(countedPrefixes(prefixes), prefixes)
  t.same(countedPrefixes([...prefixes, 'refs/y']), [])
  t.same(countedPrefixes([]), [])
})
