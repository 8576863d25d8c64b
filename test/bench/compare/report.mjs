// The report of a run in Markdown, with a picture per scenario.
import { barCharts } from '../bars.mjs'
import { table } from '../rig.mjs'
import { comparisons } from './measures.mjs'
import { heads, sections } from './sections.mjs'
import { targets } from './targets.mjs'

/** A number with as many digits as one can use. */
function figure(value) {
  if (!Number.isFinite(value)) return '–'
  if (Number.isInteger(value)) return String(value)
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(+value.toPrecision(3))
}
const cell = (value) => (typeof value === 'number' ? figure(value) : value || '–')
const shown = {
  generatorBusy: (share) => `${Math.round(share * 100)} %`,
  faults: (text) => text || 'none',
}

/** A scenario over another network is named `veth:…`. */
const sectionOf = (scenario) => sections[scenario.split(':').at(-1)]
const pictureName = (scenario) => scenario.replace(':', '-')

/** The picture of a scenario, as SVG. */
export function picture(scenario, { title, rows, rivals = [] }, contenders) {
  const { by, keys } = sectionOf(scenario).panels
  const name = (row) =>
    by.map((key) => (key === 'refs' ? `${row.refs.toLocaleString('en-US')} refs` : row[key])).join(', ')
  const groups = [...new Set(rows.map(name))]
  const kind = (server) =>
    server === 'refstream' ? 'ours' : [...contenders, ...rivals].includes(server) ? 'bar' : 'other'
  const panels = keys.flatMap((key) =>
    groups.map((group) => ({
      title: group ? `${group}: ${heads[key]}` : heads[key],
      bars: rows
        .filter((row) => name(row) === group)
        .map((row) => ({ name: row.server, value: row[key], kind: kind(row.server) })),
    })),
  )
  return barCharts(title, panels)
}

const compared = (list) =>
  table(
    ['measure', 'refstream', 'best other', '', 'refstream ÷ best other'],
    list.map(({ title, label, ours, best, bestName, ratio }) =>
      [`${title}: ${label}`, ours, best, bestName, ratio].map(cell),
    ),
  )

const targetTable = (results) =>
  table(
    ['target', 'refstream', 'against', '', 'ratio', 'allowed', 'verdict'],
    results.map(({ title, label, ours, best, bestName, ratio, limit, met, faults }) => {
      const missed = faults ? `missed: ${faults}` : `missed by ${figure(ratio / limit)}×`
      return [`${title}: ${label}`, ours, best, bestName, ratio, limit, met ? 'met' : missed].map(cell)
    }),
  )

/** A line per scenario: how often refstream is ahead, as good or behind, and where by the most. */
function summary(list, scenarios) {
  const line = (scenario) => {
    const own = list.filter((each) => each.scenario === scenario)
    const count = (test) => own.filter(({ ratio }) => test(ratio)).length
    const [best, worst] = [
      own.toSorted((a, b) => a.ratio - b.ratio)[0],
      own.toSorted((a, b) => b.ratio - a.ratio)[0],
    ]
    const say = (each, test) =>
      each && test(each.ratio)
        ? `${each.title}: ${each.label} (${figure(each.ratio)} × ${each.bestName})`
        : '–'
    const [ahead, behind] = [(ratio) => ratio < 1, (ratio) => !(ratio <= 1)]
    const counts = [ahead, (ratio) => ratio === 1, behind].map((test) => String(count(test)))
    return [scenario, ...counts, say(best, ahead), say(worst, behind)]
  }
  const compared = Object.keys(scenarios).filter((scenario) =>
    list.some((each) => each.scenario === scenario),
  )
  return table(
    ['scenario', 'ahead', 'as good', 'behind', 'ahead by the most', 'behind by the most'],
    compared.map(line),
  )
}

function headline(list, results, scenarios) {
  const met = results.filter((each) => each.met).length
  const [wins, losses] = [list.filter(({ ratio }) => ratio < 1), list.filter(({ ratio }) => !(ratio <= 1))]
  const worst = losses.toSorted((a, b) => b.ratio - a.ratio)
  return [
    `refstream is better than the best of the others in ${wins.length} of ${list.length} measures, worse in ${losses.length}, and as good`,
    `in ${list.length - wins.length - losses.length}; ${met} of ${results.length} targets are met. A ratio above 1 is a loss.\n`,
    ...summary(list, scenarios),
    '\n## Targets\n',
    ...targetTable(results),
    '\n## Where others win\n',
    ...(worst.length > 0 ? compared(worst) : ['Nowhere in this run.']),
    '\n## Where refstream wins\n',
    ...(wins.length > 0 ? compared(wins.toSorted((a, b) => a.ratio - b.ratio)) : ['Nowhere in this run.']),
  ]
}

/** The whole report; pictures are named `NAME-SCENARIO.svg`. */
export function report({
  name,
  quick,
  machine,
  versions,
  method,
  contenders,
  missing,
  failures,
  scenarios,
  minutes,
}) {
  const list = comparisons(scenarios, contenders)
  const results = targets(scenarios, list)
  return [
    `# refstream beside nginx and Varnish\n`,
    ...(quick ? ['A quick run: small numbers, one round, fit only to see that all works.\n'] : []),
    ...headline(list, results, scenarios),
    '\n## The run\n',
    `- ${machine.cores} × ${machine.model}, ${machine.memoryGigabytes} GB; ${machine.system}. Load before the run: ${machine.load.toFixed(2)}; it took ${minutes} minutes.`,
    `- ${Object.entries(versions)
      .filter(([, version]) => version)
      .map(([program, version]) => `${program} ${version}`)
      .join('; ')}.`,
    `- Contenders’ configurations, with reasons: \`test/bench/contenders/\`. Clients and servers share the machine, over loopback or, where a title says veth, in two network namespaces that a pair of interfaces joins.`,
    `- CPU is that of a server and all that it started: ${method}. “With generator” adds what the clients took (getrusage(2)): what is sent with sendfile(2) on one machine is copied when the receiver takes it, in its time, so for large answers only both together can be compared, and targets do that. Git processes are counted by a wrapper that all use alike.`,
    `- Each answer’s bytes are hashed and compared with Git’s own; “wrong answers” says whose were not the same.`,
    `- The load generator is \`test/bench/load/load.c\`, one thread. Its own CPU share stands in each row.`,
    `- Minutes per scenario: ${Object.entries(scenarios)
      .map(([scenario, each]) => `${scenario} ${each.minutes}`)
      .join(', ')}.`,
    ...missing.map((each) => `- Left out: ${each}.`),
    ...failures.map((each) => `- Failed: ${each}.`),
    ...Object.entries(scenarios).flatMap(([scenario, { title, rows }]) => {
      const { about, columns } = sectionOf(scenario)
      return [
        `\n## ${title}\n`,
        ...about,
        `\n![${title}](${name}-${pictureName(scenario)}.svg)\n`,
        ...table(
          columns.map((key) => heads[key]),
          rows.map((row) => columns.map((key) => (shown[key] ?? cell)(row[key]))),
        ),
      ]
    }),
    `\nAll figures, of each round: [${name}.json](${name}.json). To make this report again: \`make bench\`.`,
  ].join('\n')
}
