// The report of a run of refill.mjs in Markdown.
import { table } from '../rig.mjs'
import { deviation, ratios } from './figures.mjs'

const number = (value) => value.toLocaleString('en-US')
const digits = (value) => (Number.isFinite(value) ? value.toPrecision(3) : '–')
const kilobytes = (value) => (value < 10 ? value.toFixed(1) : number(Math.round(value)))

const columns = [
  ...['kind', 'format', 'refs', 'splices', 'CPU ms per push', 'first right answer, ms', 'whole answer, ms'],
  ...['written, KB', 'Git processes', 'unchanged, CPU ms'],
]

const line = (row) => [
  ...[row.kind, row.format, number(row.refs), row.splice, digits(row.cpuMs)],
  ...[digits(row.firstMs), digits(row.wholeMs), kilobytes(row.writtenKilobytes), digits(row.processes)],
  digits(row.unchangedMs),
]

const compared = ['cpuMs', 'firstMs', 'wholeMs', 'writtenKilobytes']

/** How CPU per push grows from the first size to the last, by format. */
function growth(rows) {
  const spliced = rows.filter(({ splice, kind }) => splice === 'on' && kind === 'v2, one prefix')
  return [...new Set(spliced.map(({ format }) => format))].map((format) => {
    const costs = spliced.filter((row) => row.format === format).map(({ cpuMs }) => cpuMs)
    return `- ${format}: ${costs.map(digits).join(', ')} ms; at most ${Math.round(deviation(costs) * 100)} % from the first.`
  })
}

export function report({ quick, machine, versions, rows, processes }) {
  const { cores, model, system, load } = machine
  return [
    '# What one push costs\n',
    'Pushes one by one, each to another ref, and one question 40 ms after each, when the state can be named. CPU is that of refstream',
    'and its Git processes (cgroup), without that of the push; written is `write_bytes` of /proc/PID/io. Audits are left out. *Unchanged* is',
    'the same question when nothing was pushed.\n',
    `${cores} cores (${model}), ${system}; load at the start ${load.toFixed(1)}. refstream ${versions.refstream}, Node ${versions.node}, Git ${versions.git}.` +
      (quick ? ' A quick run: few pushes, one round.' : ' Medians of three rounds.'),
    '\n## Figures\n',
    ...table(columns, rows.map(line)),
    '\n## With splices, as a part of the same without\n',
    ...table(
      ['kind', 'format', 'refs', 'CPU', 'first right answer', 'whole answer', 'written'],
      ratios(rows, compared).map((row) => [
        ...[row.kind, row.format, number(row.refs)],
        ...compared.map((key) => digits(row[key])),
      ]),
    ),
    '\n## CPU per push by number of refs, one prefix\n',
    ...growth(rows),
    '\n## One `git upload-pack` that lists one prefix, by itself\n',
    ...table(
      ['format', 'refs', 'CPU ms', 'wall ms'],
      processes.map((row) => [row.format, number(row.refs), digits(row.cpuMs), digits(row.wallMs)]),
    ),
  ].join('\n')
}
