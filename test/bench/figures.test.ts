import t from 'tap'

const { figuresJson } = (await import(new URL('figures.mjs', import.meta.url).href)) as {
  figuresJson: (figures: unknown) => string
}

t.test('a row of a table and a series of samples are one line each', (t) => {
  const figures = {
    seconds: 45,
    machine: { cores: 2, load: [1.5, 2] },
    rows: [{ server: 'a', byKind: { fetch: 1 } }, { server: 'b' }],
    series: [
      [0.5, 1],
      [1, 2],
    ],
    missing: [],
  }
  const text = figuresJson({ ...figures, absent: undefined })
  t.same(JSON.parse(text), figures)
  t.same(text.split('\n'), [
    '{',
    ' "seconds": 45,',
    ' "machine": {',
    '  "cores": 2,',
    '  "load": [1.5,2]',
    ' },',
    ' "rows": [',
    '  {"server":"a","byKind":{"fetch":1}},',
    '  {"server":"b"}',
    ' ],',
    ' "series": [[0.5,1],[1,2]],',
    ' "missing": []',
    '}',
    '',
  ])
  t.end()
})
