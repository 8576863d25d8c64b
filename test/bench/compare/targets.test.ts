import t from 'tap'

interface Row {
  server: string
  faults: string
  refs?: number
  bytes?: number
  kind?: string
  [figure: string]: number | string | undefined
}
type Scenarios = Record<string, { rows: Row[]; rivals?: string[] }>
interface Comparison {
  scenario: string
  title: string
  label: string
  key: string
  ours: number
  best: number
  bestName: string
  ratio: number
}
interface Target extends Comparison {
  limit: number
  met: boolean
}

const here = (name: string) => new URL(name, import.meta.url).href
const { comparisons } = (await import(here('measures.mjs'))) as {
  comparisons: (scenarios: Scenarios, contenders: string[]) => Comparison[]
}
const { targets } = (await import(here('targets.mjs'))) as {
  targets: (scenarios: Scenarios, compared: Comparison[]) => Target[]
}

const contenders = ['nginx cache', 'varnish', 'refstream']
const row = (server: string, figures: Omit<Row, 'server' | 'faults'>, faults = ''): Row => ({
  server,
  faults,
  ...figures,
})
const verdicts = (scenarios: Scenarios) => targets(scenarios, comparisons(scenarios, contenders))
const of = (list: Target[], title: string, label: string) =>
  list.find((each) => each.title === title && each.label === label)

t.test('a small hit may cost a quarter more than bare node:http', (t) => {
  const small = (server: string, cpuPerThousand: number) =>
    row(server, { kind: 'advertisement', refs: 20, bytes: 2000, cpuPerThousand })
  const judged = (ours: number) =>
    of(
      verdicts({ 'warm-hits': { rows: [small('refstream', ours), small('bare node:http', 0.02)] } }),
      'warm advertisement, 20 refs',
      'CPU s per 1,000',
    )
  t.match(judged(0.024), { met: true, limit: 1.25, bestName: 'bare node:http' })
  t.match(judged(0.026), { met: false })
  t.end()
})

t.test('large copies are compared with the generator’s CPU', (t) => {
  const large = (server: string, cpuPerGigabyte: number, bothPerGigabyte: number) =>
    row(server, { kind: 'advertisement', refs: 100_000, bytes: 1e7, cpuPerGigabyte, bothPerGigabyte })
  const rows = [large('refstream', 0.3, 0.6), large('nginx cache', 0.1, 0.7), large('varnish', 0.3, 0.65)]
  const list = verdicts({ 'warm-hits': { rows } })
  t.match(
    list.map(({ key, bestName, met }) => ({ key, bestName, met })),
    [{ key: 'bothPerGigabyte', bestName: 'varnish', met: true }],
  )
  t.end()
})

t.test('polls have limits of their own, for each kind', (t) => {
  const poll = (kind: string, p50: number, p99: number) => row('refstream', { kind, p50, p99 })
  const rows = [poll('ls-refs', 0.4, 1.6), poll('capabilities', 0.5, 1.5)]
  const list = verdicts({ polls: { rows: [...rows, row('varnish', { kind: 'ls-refs', p50: 9, p99: 9 })] } })
  t.same(
    list.map(({ title, label, met }) => [title, label, met]),
    [
      ['polls: ls-refs', 'p50, ms', true],
      ['polls: ls-refs', 'p99, ms', false],
      ['polls: capabilities', 'p50, ms', true],
      ['polls: capabilities', 'p99, ms', true],
    ],
  )
  t.end()
})

t.test('a push storm is compared with Varnish, and no answer may be stale', (t) => {
  const push = (server: string, readsPerSecond: number, cpuPerThousand: number, stale: number) =>
    row(server, { refs: 100_000, readsPerSecond, cpuPerThousand, bothPerThousand: cpuPerThousand + 1, stale })
  const judged = (ours: Row) =>
    verdicts({
      'push-storm': { rows: [push('varnish', 100, 10, 0), ours], rivals: ['varnish', 'refstream'] },
    }).map(({ key, met }) => [key, met])
  t.same(
    judged(push('refstream', 121, 7.7, 0)).map(([, met]) => met),
    [true, true, true, true],
  )
  t.same(
    judged(push('refstream', 119, 8.1, 1)).map(([, met]) => met),
    [false, false, false, false],
  )
  t.end()
})

t.test('a start has limits in milliseconds and megabytes; wrong answers meet none', (t) => {
  const restart = (ms: number, restMegabytes: number, faults = '') => ({
    restart: { rows: [row('refstream', { ms, restMegabytes }, faults)] },
  })
  const met = (scenarios: Scenarios) => verdicts(scenarios).map((each) => each.met)
  t.same(met(restart(200, 60)), [true, true])
  t.same(met(restart(201, 61)), [false, false])
  t.same(met(restart(100, 50, '1 wrong')), [false, false])
  t.end()
})

t.test('a scenario over veth has measures of its own, and no targets', (t) => {
  const rows = ['refstream', 'varnish'].map((server, index) =>
    row(server, { kind: 'capabilities', p50: 1 + index, p99: 2, p999: 3, cpuPerPoll: 4 }),
  )
  const scenarios = { 'veth:polls': { rows } }
  const [first] = comparisons(scenarios, contenders)
  t.match(first, {
    scenario: 'veth:polls',
    title: 'veth, polls: capabilities',
    ratio: 0.5,
    bestName: 'varnish',
  })
  t.same(verdicts(scenarios), [])
  t.end()
})
