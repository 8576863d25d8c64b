// Which contender is best in each measure, and whether the targets are met: all ratios are of figures from one run.
import { packTargets, packsTitle } from './pack-targets.mjs'

const count = (refs) => refs.toLocaleString('en-US')
const storm = (name) =>
  [
    ['last byte p99, ms', 'lastP99'],
    ['first byte p99, ms', 'firstP99'],
    ['CPU, s', 'cpuSeconds'],
    ['Git processes', 'processes'],
  ].map(([label, key]) => ({ label, key, of: ({ refs }) => `${name}, ${count(refs)} refs` }))

const hit = (kind, label, key, sizes) => ({
  ...{ label, key, where: (row) => row.kind === kind && sizes(row) },
  of: ({ refs }) => `warm ${kind}, ${count(refs)} refs`,
})

/** scenario → what of its rows is compared; the least is best, unless `most`. */
const measures = {
  'warm-hits': [
    hit('advertisement', 'CPU s per 1,000', 'cpuPerThousand', ({ bytes }) => bytes < 1e6),
    hit('advertisement', 'CPU s per GB', 'cpuPerGigabyte', ({ bytes }) => bytes >= 1e6),
    { ...hit('advertisement', 'requests/s', 'requestsPerSecond', () => true), most: true },
    hit('capabilities', 'CPU s per 1,000', 'cpuPerThousand', () => true),
    hit('ls-refs', 'CPU s per 1,000', 'cpuPerThousand', () => true),
  ],
  'cold-storm': storm('cold storm'),
  'slow-first': storm('slow first client'),
  'mutation-storm': [
    { label: 'read p99, ms', key: 'p99', of: () => 'mutation storm' },
    { label: 'CPU s per 1,000 reads', key: 'cpuPerThousand', of: () => 'mutation storm' },
    { label: 'reads/s', key: 'readsPerSecond', most: true, of: () => 'mutation storm' },
    { label: 'Git processes', key: 'processes', of: () => 'mutation storm' },
    { label: 'stale answers', key: 'stale', of: () => 'mutation storm' },
  ],
  'push-storm': [
    ['CPU s per 1,000 reads', 'cpuPerThousand'],
    ['reads/s', 'readsPerSecond', true],
    ['stale answers', 'stale'],
  ].map(([label, key, most]) => ({
    ...{ label, key, most },
    of: ({ refs }) => `push storm, ${count(refs)} refs`,
  })),
  'real-clients': [
    {
      ...{ label: 'CPU, s', key: 'cpuSeconds' },
      of: ({ protocol, operation }) => `real clients, ${protocol} ${operation}`,
    },
  ],
  'slow-clients': [
    { label: 'KB per client', key: 'kilobytesPerClient', of: () => 'slow clients' },
    { label: 'a fast read beside them, ms', key: 'besideMs', of: () => 'slow clients' },
  ],
  restart: [{ label: 'first right answer, ms', key: 'ms', of: () => 'restart' }],
  packs: [
    { label: 'wall p99, ms', key: 'wallP99', of: packsTitle },
    { label: 'first byte p99, ms', key: 'firstP99', of: packsTitle },
    { label: 'CPU, s', key: 'cpuSeconds', of: packsTitle },
    { label: 'pack-objects', key: 'packObjects', of: packsTitle },
  ],
}

/**
 * For each measure refstream's figure, the best of the other contenders' and the ratio; below 1 refstream is better. A
 * scenario may name its own `rivals`. A contender whose answers were wrong is not the best of anything; one whose answers were stale may be, and is marked.
 */
export function comparisons(scenarios, contenderNames) {
  return Object.entries(measures).flatMap(([scenario, list]) =>
    list.flatMap(({ label, key, of, where = () => true, most = false }) => {
      const rows = (scenarios[scenario]?.rows ?? []).filter(where)
      const names = scenarios[scenario]?.rivals ?? contenderNames
      return [...new Set(rows.map(of))].flatMap((title) => {
        const group = rows.filter((row) => of(row) === title && names.includes(row.server))
        const ours = group.find(({ server }) => server === 'refstream')
        const others = group.filter((row) => row !== ours && !row.faults)
        if (!ours || others.length === 0) return []
        const best = others.reduce((a, b) => ((most ? b[key] > a[key] : b[key] < a[key]) ? b : a))
        const ratio = most ? best[key] / ours[key] : ours[key] / best[key]
        const tie = ours[key] === best[key]
        return [
          {
            ...{ scenario, title, label, key, ours: ours[key], best: best[key] },
            ...{ refs: ours.refs, faults: ours.faults, ratio: tie ? 1 : ratio },
            bestName: best.stale > 0 ? `${best.server} (${best.stale} stale)` : best.server,
          },
        ]
      })
    }),
  )
}

const isLarge = ({ refs }) => refs === 100_000

/** The targets, each with the ratio that it allows and the one that was reached. */
export function targets(scenarios, compared) {
  const find = (scenario, keys, where = () => true) =>
    compared.filter((each) => each.scenario === scenario && keys.includes(each.key) && where(each))
  const against = (limit, list) =>
    list.map((each) => ({ ...each, limit, met: !each.faults && each.ratio <= limit }))
  const warm = scenarios['warm-hits']?.rows ?? []
  const small = (server) =>
    warm.find((row) => row.server === server && row.kind === 'advertisement' && row.refs === 20)
  const [ours, bare] = ['refstream', 'bare node:http'].map(small)
  const bareRow = {
    ...{ title: 'warm advertisement, 20 refs', label: 'CPU s per 1,000', bestName: 'bare node:http' },
    ...{ ours: ours?.cpuPerThousand, best: bare?.cpuPerThousand, faults: ours?.faults },
  }
  return [
    ...against(1, find('cold-storm', ['lastP99', 'cpuSeconds'])),
    ...against(1, find('slow-first', ['lastP99', 'cpuSeconds'])),
    ...against(1, find('mutation-storm', ['p99', 'cpuPerThousand'])),
    ...against(0.8, find('push-storm', ['cpuPerThousand'], isLarge)),
    ...against(1 / 1.2, find('push-storm', ['readsPerSecond'], isLarge)),
    ...find('push-storm', ['stale']).map((each) => ({ ...each, limit: 0, met: each.ours === 0 })),
    ...against(
      1.3,
      find('warm-hits', ['cpuPerGigabyte'], ({ refs }) => refs >= 100_000),
    ),
    ...(ours && bare ? against(1.5, [{ ...bareRow, ratio: bareRow.ours / bareRow.best }]) : []),
    ...against(
      0.1,
      find('real-clients', ['cpuSeconds'], ({ title }) => title.includes(' v2 ')),
    ),
    ...packTargets(scenarios.packs?.rows ?? []),
  ]
}
