// Which contender is best in each measure: all ratios are of figures from one run.
import { packsTitle } from './pack-targets.mjs'

const count = (refs) => refs.toLocaleString('en-US')
const storm = (name) =>
  [
    ['last byte p99, ms', 'lastP99'],
    ['first byte p99, ms', 'firstP99'],
    ['CPU, s', 'cpuSeconds'],
    ['CPU with generator, s', 'bothSeconds'],
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
    hit('advertisement', 'CPU with generator, s per GB', 'bothPerGigabyte', ({ bytes }) => bytes >= 1e6),
    { ...hit('advertisement', 'requests/s', 'requestsPerSecond', () => true), most: true },
    hit('capabilities', 'CPU s per 1,000', 'cpuPerThousand', () => true),
    hit('ls-refs', 'CPU s per 1,000', 'cpuPerThousand', () => true),
  ],
  'cold-storm': storm('cold storm'),
  'slow-first': storm('slow first client'),
  'mutation-storm': [
    { label: 'read p99, ms', key: 'p99', of: () => 'mutation storm' },
    { label: 'CPU s per 1,000 reads', key: 'cpuPerThousand', of: () => 'mutation storm' },
    { label: 'CPU with generator, s per 1,000 reads', key: 'bothPerThousand', of: () => 'mutation storm' },
    { label: 'reads/s', key: 'readsPerSecond', most: true, of: () => 'mutation storm' },
    { label: 'Git processes', key: 'processes', of: () => 'mutation storm' },
    { label: 'stale answers', key: 'stale', of: () => 'mutation storm' },
  ],
  'push-storm': [
    ['CPU s per 1,000 reads', 'cpuPerThousand'],
    ['CPU with generator, s per 1,000 reads', 'bothPerThousand'],
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
    { label: 'CPU with generator, s per s', key: 'bothSecondsPerSecond', of: () => 'slow clients' },
    { label: 'a fast read beside them, ms', key: 'besideMs', of: () => 'slow clients' },
  ],
  polls: [
    ['p50, ms', 'p50'],
    ['p99, ms', 'p99'],
    ['p99.9, ms', 'p999'],
    ['CPU ms per poll', 'cpuPerPoll'],
  ].map(([label, key]) => ({ label, key, of: ({ kind }) => `polls: ${kind}` })),
  restart: [
    { label: 'first right answer, ms', key: 'ms', of: () => 'restart' },
    { label: 'RSS at rest, MB', key: 'restMegabytes', of: () => 'restart' },
  ],
  packs: [
    { label: 'wall p99, ms', key: 'wallP99', of: packsTitle },
    { label: 'first byte p99, ms', key: 'firstP99', of: packsTitle },
    { label: 'CPU, s', key: 'cpuSeconds', of: packsTitle },
    { label: 'CPU with generator, s', key: 'bothSeconds', of: packsTitle },
    { label: 'pack-objects', key: 'packObjects', of: packsTitle },
  ],
}

/**
 * For each measure refstream's figure, the best of the other contenders' and the ratio; below 1 refstream is better. A
 * scenario may name its own `rivals`, and its name may begin with that of a network, `veth:`, which then stands in titles. A contender whose answers were wrong is not the best of anything; one whose answers were stale may be, and is marked.
 */
export function comparisons(scenarios, contenderNames) {
  return Object.entries(scenarios).flatMap(([scenario, { rows: all, rivals }]) =>
    (measures[scenario.split(':').at(-1)] ?? []).flatMap(
      ({ label, key, of: plain, where = () => true, most = false }) => {
        const rows = all.filter(where)
        const names = rivals ?? contenderNames
        const of = (row) => (scenario.includes(':') ? `${scenario.split(':')[0]}, ${plain(row)}` : plain(row))
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
      },
    ),
  )
}
