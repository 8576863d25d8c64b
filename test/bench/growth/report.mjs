// The tables of growth, ready for docs/benchmarks.md.
import { table } from '../rig.mjs'
import { verdict } from './lines.mjs'

const count = (value) => (Number.isFinite(value) ? value.toLocaleString('en-US') : '–')
function figure(value) {
  if (!Number.isFinite(value)) return '–'
  return Math.abs(value) >= 100 ? count(Math.round(value)) : String(+value.toPrecision(3))
}

/** One table, with a last row that says which line each column should follow, and where it leaves it. */
export function growthTable({ title, by, columns, rows }) {
  const keys = Object.keys(columns)
  const cells = rows.map((row) => [count(row[by]), ...keys.map((key) => figure(row[key]))])
  const lines = keys.map((key) => {
    const { head, line, of = by } = columns[key]
    if (!line) return ''
    const { line: name, at } = verdict({ head, line, by: of }, rows, key)
    return at === undefined ? name : `${name}, up to ${count(lastBefore(rows, of, at)[by])}`
  })
  const faults = rows.filter((row) => row.faults).map((row) => `- ${count(row[by])} ${by}: ${row.faults}.`)
  return [
    `### ${title}\n`,
    ...table([by, ...keys.map((key) => columns[key].head)], [...cells, ['*should be*', ...lines]]),
    ...(faults.length > 0 ? ['', ...faults] : []),
  ].join('\n')
}

const lastBefore = (rows, key, at) => rows[rows.findIndex((row) => row[key] === at) - 1] ?? rows[0]

export function growthReport({ quick, machine, versions, tables, failures, minutes }) {
  return [
    '# What grows with what\n',
    ...(quick ? ['A quick run: small numbers, fit only to see that all works.\n'] : []),
    `- ${machine.cores} × ${machine.model}, ${machine.memoryGigabytes} GB; ${machine.system}. Load before the run: ${machine.load.toFixed(2)}; it took ${minutes} minutes.`,
    `- ${['refstream', 'node', 'git'].map((program) => `${program} ${versions[program]}`).join('; ')}.`,
    '- CPU is that of refstream and all that it started. Clients are the load generator’s, on the same machine, over loopback.',
    '- The last row of a table says which line a column should follow, and up to which row it does (within a factor of 1.5).',
    ...failures.map((each) => `- Failed: ${each}.`),
    ...tables.map((each) => `\n${growthTable(each)}`),
  ].join('\n')
}
