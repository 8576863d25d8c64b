import t from 'tap'
import { SeriesOf } from '../../../src/telemetry/tallies/series.js'

t.test('a series is found by the values of all its labels', async (t) => {
  const series = new SeriesOf(['kind', 'outcome'], () => ({ count: 0 }))
  series.of({ kind: 'a', outcome: 'hit' }).count++
  series.of({ outcome: 'hit', kind: 'a' }).count++
  series.of({ kind: 'a', outcome: 'filled' }).count++
  series.of({ kind: 'hit', outcome: 'a' }).count++
  t.same(series.all, [
    { labels: { kind: 'a', outcome: 'hit' }, value: { count: 2 } },
    { labels: { kind: 'a', outcome: 'filled' }, value: { count: 1 } },
    { labels: { kind: 'hit', outcome: 'a' }, value: { count: 1 } },
  ])
})

t.test('without labels there is one series, from the start', async (t) => {
  const series = new SeriesOf<never, { count: number }>([], () => ({ count: 0 }))
  t.same(series.all, [{ labels: {}, value: { count: 0 } }])
  series.of({}).count++
  t.same(series.all, [{ labels: {}, value: { count: 1 } }])
})
