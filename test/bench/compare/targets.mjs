// Whether the targets are met. Each is a ratio of figures of one run that is to stay below a limit, or a figure with a limit.
import { packTargets } from './pack-targets.mjs'

const against = (limit, list) =>
  list.map((each) => ({ ...each, limit, met: !each.faults && each.ratio <= limit }))

/** A figure of a row that may be so large and not larger. */
const atMost = (limit, row, title, label, key) =>
  row
    ? against(1, [
        {
          title,
          label,
          ours: row[key],
          best: limit,
          bestName: 'the limit',
          ratio: row[key] / limit,
          faults: row.faults,
        },
      ])
    : []

/** A figure against that of one other server, not of the best one. */
function versus(limit, rows, name, where, title, label, key, most = false) {
  const [ours, other] = ['refstream', name].map((server) =>
    rows.find((row) => row.server === server && where(row)),
  )
  if (!ours || !other) return []
  const ratio = most ? other[key] / ours[key] : ours[key] / other[key]
  return against(limit, [
    { title, label, ours: ours[key], best: other[key], bestName: name, ratio, faults: ours.faults },
  ])
}

/**
 * The targets, each with the ratio that it allows and the one that was reached. Where large answers are copied, CPU is that
 * of server and generator: with sendfile(2) on loopback, the receiver copies.
 */
export function targets(scenarios, compared) {
  const rowsOf = (scenario) => scenarios[scenario]?.rows ?? []
  const find = (scenario, keys, where = () => true) =>
    compared.filter((each) => each.scenario === scenario && keys.includes(each.key) && where(each))
  const isSmall = ({ kind, refs }) => kind === 'advertisement' && refs === 20
  const isLarge = ({ refs }) => refs === 100_000
  const [pushes, restarted] = [rowsOf('push-storm'), rowsOf('restart')]
  const [push, ours] = ['push storm, 100,000 refs', ({ server }) => server === 'refstream']
  return [
    ...versus(
      ...[1.25, rowsOf('warm-hits'), 'bare node:http', isSmall, 'warm advertisement, 20 refs'],
      ...['CPU s per 1,000', 'cpuPerThousand'],
    ),
    ...rowsOf('polls')
      .filter(ours)
      .flatMap((row) => [
        ...atMost(0.5, row, `polls: ${row.kind}`, 'p50, ms', 'p50'),
        ...atMost(1.5, row, `polls: ${row.kind}`, 'p99, ms', 'p99'),
      ]),
    ...versus(1 / 1.2, pushes, 'varnish', isLarge, push, 'reads/s', 'readsPerSecond', true),
    ...versus(0.8, pushes, 'varnish', isLarge, push, 'CPU s per 1,000 reads', 'cpuPerThousand'),
    ...versus(
      0.8,
      pushes,
      'varnish',
      isLarge,
      push,
      'CPU with generator, s per 1,000 reads',
      'bothPerThousand',
    ),
    ...find('push-storm', ['stale']).map((each) => ({ ...each, limit: 0, met: each.ours === 0 })),
    ...atMost(200, restarted.find(ours), 'restart', 'first right answer, ms', 'ms'),
    ...atMost(60, restarted.find(ours), 'restart', 'RSS at rest, MB', 'restMegabytes'),
    ...against(1, find('cold-storm', ['lastP99', 'bothSeconds'])),
    ...against(1, find('slow-first', ['lastP99', 'bothSeconds'])),
    ...against(1, find('mutation-storm', ['p99', 'bothPerThousand'])),
    ...against(
      1.3,
      find('warm-hits', ['bothPerGigabyte'], ({ refs }) => refs >= 100_000),
    ),
    ...against(
      0.1,
      find('real-clients', ['cpuSeconds'], ({ title }) => title.includes(' v2 ')),
    ),
    ...packTargets(rowsOf('packs')),
  ]
}
