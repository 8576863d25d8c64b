import t from 'tap'

interface Answer {
  session: number
  name: 'before' | 'fetch'
  result: string
  status: number
  length: number
  endsInFlush: boolean
  due: number
  first: number
  last: number
}
interface Figures {
  firstP50: number
  firstP99: number
  wallP50: number
  wallP99: number
  faults: string
}
interface Row {
  operation: string
  form: string
  server: string
  packObjects: number
  cpuSeconds: number
  wallP99: number
  soloMs?: number
  wireMs?: number
  faults: string
}
interface Target {
  title: string
  label: string
  ratio: number
  limit: number
  met: boolean
  bestName: string
}

const { faultOf, pullTogether } = (await import(new URL('pack-figures.mjs', import.meta.url).href)) as {
  faultOf: (answer: Partial<Answer>, bytes?: number) => string
  pullTogether: (records: Answer[], clients: number, bytes?: number) => Figures
}
const { allowedP99, packTargets } = (await import(new URL('pack-targets.mjs', import.meta.url).href)) as {
  allowedP99: (ours: Partial<Row>, plain: Partial<Row>) => number
  packTargets: (rows: Row[]) => Target[]
}

const fetched: Answer = {
  ...{ session: 0, name: 'fetch', result: 'ok', status: 200, length: 1000, endsInFlush: true },
  ...{ due: 10, first: 15, last: 40 },
}
const before: Answer = {
  ...fetched,
  name: 'before',
  length: 50,
  endsInFlush: false,
  due: 0,
  first: 5,
  last: 10,
}

t.test(
  'a fetch is right if it is whole, ends in a flush packet and has about the length of Git’s own',
  (t) => {
    t.equal(faultOf(fetched, 1000), '')
    t.equal(
      faultOf({ ...fetched, length: 1049 }, 1000),
      '',
      'another run of Git may pack a little better or worse',
    )
    t.equal(faultOf({ ...fetched, length: 1051 }, 1000), 'of another length')
    t.equal(faultOf({ ...fetched, length: 1051 }), '', 'a length that is not known')
    t.equal(faultOf({ ...fetched, endsInFlush: false }, 1000), 'without its end')
    t.equal(faultOf({ ...fetched, status: 503 }, 1000), 'status 503')
    t.equal(faultOf({ ...fetched, result: 'short' }, 1000), 'short')
    t.equal(faultOf(before, 1000), '', 'what leads to a fetch may be of any length')
    t.end()
  },
)

t.test('a client’s wall time spans all its requests, its first byte is of the fetch', (t) => {
  t.same(pullTogether([before, fetched], 1, 1000), {
    ...{ firstP50: 5, firstP99: 5, wallP50: 40, wallP99: 40 },
    faults: '',
  })
  t.end()
})

t.test('clients are told apart, in whatever order their answers come', (t) => {
  const second = { session: 1, due: 100 }
  const records = [
    { ...before, ...second, first: 101, last: 102 },
    before,
    { ...fetched, ...second, due: 102, first: 112, last: 300 },
    fetched,
  ]
  t.same(pullTogether(records, 2, 1000), {
    ...{ firstP50: 5, firstP99: 10, wallP50: 40, wallP99: 200 },
    faults: '',
  })
  t.end()
})

t.test('a client that got something wrong, or nothing, is a fault and no figure', (t) => {
  const records = [
    fetched,
    { ...fetched, session: 1, endsInFlush: false, last: 1 },
    { ...before, session: 2, result: 'refused', status: 0 },
    { ...before, session: 3 },
  ]
  const { faults, wallP50, wallP99 } = pullTogether(records, 5, 1000)
  t.equal(faults, '1 without its end, 1 refused, 1 without a fetch, 1 unanswered')
  t.same([wallP50, wallP99], [30, 30])
  t.end()
})

t.test('what a storm may take: 1.2 times the faster of the two alone, and the wire', (t) => {
  t.equal(allowedP99({ soloMs: 100, wireMs: 30 }, { soloMs: 200 }), 150)
  t.equal(allowedP99({ soloMs: 200, wireMs: 30 }, { soloMs: 100 }), 150)
  t.end()
})

const row = (server: string, figures: Partial<Row>): Row => ({
  ...{ operation: 'clone', form: 'at once', server, packObjects: 50, cpuSeconds: 150, wallP99: 1000 },
  ...{ soloMs: 100, wireMs: 30, faults: '', ...figures },
})

t.test('a storm at once has three targets', (t) => {
  const ours = { packObjects: 1, cpuSeconds: 10, wallP99: 150 }
  const met = packTargets([row('nginx', {}), row('refstream', ours)])
  t.same(
    met.map(({ label, ratio, met }) => [label, ratio, met]),
    [
      ['pack-objects', 1, true],
      ['CPU, s', 10 / 150, true],
      ['wall p99, ms', 1, true],
    ],
  )
  const missed = { packObjects: 2, cpuSeconds: 11, wallP99: 151 }
  t.same(
    packTargets([row('nginx', {}), row('refstream', missed)]).map((target) => target.met),
    [false, false, false],
  )
  t.end()
})

t.test('answers that were wrong meet no target', (t) => {
  const rows = [
    row('nginx', {}),
    row('refstream', { packObjects: 1, cpuSeconds: 1, wallP99: 1, faults: '1 short' }),
  ]
  t.ok(packTargets(rows).every(({ met }) => !met))
  t.end()
})

t.test('unique fetches are compared with pass-through, in refstream and without it', (t) => {
  const unique = { operation: 'unique', form: '4 at a time' }
  const rows = [
    row('nginx', { ...unique, cpuSeconds: 100 }),
    row('refstream --no-packs', { ...unique, cpuSeconds: 90 }),
    row('refstream', { ...unique, cpuSeconds: 105 }),
  ]
  t.match(packTargets(rows), [
    { bestName: 'refstream --no-packs', ratio: 105 / 90, limit: 1.1, met: false },
    { bestName: 'nginx', ratio: 1.05, limit: 1.1, met: true },
  ])
  t.match(
    packTargets(rows.slice(1)),
    [{ bestName: 'refstream --no-packs' }],
    'one that was left out has no target',
  )
  t.end()
})

t.test('a storm that is spread over a time has no targets', (t) => {
  t.same(
    packTargets(
      [row('nginx', {}), row('refstream', { form: 'spread over 60 s' })].map((each) => ({
        ...each,
        form: 'spread over 60 s',
      })),
    ),
    [],
  )
  t.end()
})
