import t from 'tap'

type Row = Record<string, number | string>
const { deviation, mediansOf, ratios } = (await import(new URL('figures.mjs', import.meta.url).href)) as {
  deviation: (values: number[]) => number
  mediansOf: (rounds: Row[]) => Row
  ratios: (rows: Row[], keys: string[]) => Row[]
}

t.test('rounds become medians of their numbers', (t) => {
  const rounds = [3, 1, 2].map((cpuMs) => ({ cpuMs, note: 'x' }))
  t.same(mediansOf(rounds), { cpuMs: 2 })
  t.same(mediansOf([]), {})
  t.end()
})

t.test('a deviation is how far the others are from the first at most', (t) => {
  t.equal(deviation([10, 11, 7.5]), 0.25)
  t.equal(deviation([10]), 0)
  t.ok(Number.isNaN(deviation([0, 1])))
  t.ok(Number.isNaN(deviation([])))
  t.end()
})

t.test('a row with splices is divided by the row without that is the same otherwise', (t) => {
  const row = (splice: string, refs: number, cpuMs: number) => ({
    splice,
    refs,
    format: 'files',
    kind: 'v0',
    cpuMs,
  })
  const rows = [row('on', 10, 3), row('off', 20, 60), row('off', 10, 12), row('on', 20, 3), row('on', 30, 3)]
  const found = ratios(rows, ['cpuMs'])
  t.same(
    found.map(({ refs, cpuMs }) => [refs, cpuMs]),
    [
      [10, 0.25],
      [20, 0.05],
      [30, NaN],
    ],
  )
  t.end()
})
