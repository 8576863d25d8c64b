import t from 'tap'

type Points = [number, number][]
interface Column {
  head: string
  line: 'constant' | 'linear'
  by: string
}
const { leavesAt, verdict } = (await import(new URL('lines.mjs', import.meta.url).href)) as {
  leavesAt: (line: Column['line'], points: Points) => number | undefined
  verdict: (column: Column, rows: Record<string, number>[], key: string) => { line: string; at?: number }
}

t.test('a constant cost leaves its line where it has grown by more than half', (t) => {
  const at = (...costs: number[]) =>
    leavesAt(
      'constant',
      costs.map((cost, index) => [10 ** index, cost]),
    )
  t.equal(at(1, 1.2, 1.4), undefined)
  t.equal(at(1, 1.4, 1.6, 4), 100)
  t.equal(at(3, 1, 1.6), 100, 'the least counts')
  t.equal(at(4, 3, 2), undefined, 'less is no fault')
  t.end()
})

t.test('a linear cost has a constant part, which does not count', (t) => {
  const points = [20, 1000, 10_000, 100_000].map((x): [number, number] => [x, 5 + x / 1000])
  t.equal(leavesAt('linear', points), undefined)
  t.equal(leavesAt('linear', [...points, [1e6, 1005]]), undefined)
  t.equal(leavesAt('linear', [...points, [1e6, 2000]]), 1e6)
  const flat: Points = [
    [10, 1],
    [100, 1.1],
    [1000, 0.9],
  ]
  t.equal(leavesAt('linear', flat), undefined, 'it does not grow')
  t.end()
})

t.test('a cost that was not measured is left out', (t) => {
  t.equal(
    leavesAt('constant', [
      [1, NaN],
      [10, 1],
      [100, 2],
    ]),
    100,
  )
  t.equal(
    leavesAt('constant', [
      [1, NaN],
      [10, 1],
    ]),
    undefined,
  )
  t.end()
})

t.test('a verdict names the line and where it ends', (t) => {
  const rows = [
    { refs: 20, cpu: 1 },
    { refs: 1000, cpu: 3 },
  ]
  const of = (line: Column['line']) => verdict({ head: 'CPU', line, by: 'refs' }, rows, 'cpu')
  t.match(of('constant'), { line: 'constant', at: 1000 })
  t.match(of('linear'), { line: 'linear in refs', at: undefined })
  t.end()
})
