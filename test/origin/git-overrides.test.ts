import t from 'tap'
import { overridesNothing } from '../../src/origin/git-overrides.js'

t.test('a request overrides something only if it says so', async (t) => {
  for (const nothing of [
    {},
    { configOptions: [] },
    { configOptions: [], objectDirectory: '', alternateObjectDirectories: [] },
  ])
    t.ok(overridesNothing(nothing))
  for (const something of [
    { configOptions: ['a.b=c'] },
    { objectDirectory: 'objects' },
    { alternateObjectDirectories: [''] },
  ])
    t.notOk(overridesNothing(something))
})
