import fc from 'fast-check'
import t from 'tap'
import { EpochTable } from '../../../../src/fleet/engines/table/epoch-table.js'

t.test('counts of repositories', async (t) => {
  const epochs = new EpochTable()
  t.same(epochs.of('r'), { openings: 0, changes: 0 })
  epochs.addOpening('r')
  epochs.addChange('r')
  epochs.addChange('r')
  t.same(epochs.of('r'), { openings: 1, changes: 2 })
  t.same(epochs.of('s'), { openings: 0, changes: 0 })
})

t.test('no count ever decreases, and each change is seen, whatever is given up', async (t) => {
  const steps = fc.array(fc.record({ repository: fc.nat(5), opening: fc.boolean() }), { maxLength: 60 })
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 4 }), (all, max) => {
      const epochs = new EpochTable(max)
      const countsOf = () => Array.from({ length: 6 }, (_, index) => epochs.of(`${index}`))
      let before = countsOf()
      for (const { repository, opening } of all) {
        if (opening) epochs.addOpening(`${repository}`)
        else epochs.addChange(`${repository}`)
        const after = countsOf()
        const grew = after.every((one, index) => {
          const old = before[index]!
          return one.openings >= old.openings && one.changes >= old.changes
        })
        const [one, old] = [after[repository]!, before[repository]!]
        const seen = opening ? one.openings > old.openings : one.changes > old.changes
        if (!grew || !seen || epochs.size > max) return false
        before = after
      }
      return true
    }),
  )
  t.pass()
})
