// The report of a run in Markdown, with a picture per scenario.
import { barCharts } from '../bars.mjs'
import { table } from '../rig.mjs'
import { comparisons, targets } from './measures.mjs'

const percent = (share) => `${Math.round(share * 100)} %`
const figure = (value) =>
  value === undefined || !Number.isFinite(value)
    ? '–'
    : value === 0 || (Number.isInteger(value) && value < 1e6)
      ? String(value)
      : Math.abs(value) >= 1000
        ? value.toFixed(0)
        : String(+value.toPrecision(3))
const cell = (value) => (typeof value === 'number' ? figure(value) : value || '–')
const columns = (...pairs) => pairs.map(([head, key, show = cell]) => ({ head, key, show }))

const server = ['server', 'server']
const busy = ['generator CPU', 'generatorBusy', percent]
const faults = ['wrong answers', 'faults', (value) => value || 'none']
const storm = columns(
  ...[['refs', 'refs'], server, ['Git processes', 'processes'], ['of them upload-pack', 'uploadPacks']],
  ...[
    ['first byte p50, ms', 'firstP50'],
    ['first byte p99', 'firstP99'],
    ['last byte p50', 'lastP50'],
  ],
  ...[['last byte p99', 'lastP99'], ['CPU, s', 'cpuSeconds'], busy, faults],
)
const stormPanels = [
  ['refs', 'last byte p99, ms', 'lastP99'],
  ['refs', 'CPU seconds', 'cpuSeconds'],
]

/** scenario → what it is, its columns, and its pictures' [rows that belong together, title, key]. */
const sections = {
  'warm-hits': {
    about: `Clients on keep-alive connections, each asks again as soon as it has its answer: 32 of them, 8 where answers are larger than
1 MB. \`ls-refs\` asks for one branch in protocol v2. bare node:http and nginx with a static file are no contenders: they write the
same bytes and decide nothing. Where the generator’s CPU is near 100 %, requests/s and MB/s are its limit, not the server’s; CPU per
GB and per 1,000 requests hold all the same.`,
    columns: columns(
      ...[
        ['asked for', 'kind'],
        ['refs', 'refs'],
        ['bytes', 'bytes'],
        server,
        ['requests/s', 'requestsPerSecond'],
      ],
      ...[
        ['MB/s', 'megabytesPerSecond'],
        ['CPU s per GB', 'cpuPerGigabyte'],
      ],
      ...[
        ['CPU s per 1,000', 'cpuPerThousand'],
        ['p99, ms', 'p99'],
        ['Git processes', 'processes'],
        busy,
        faults,
      ],
    ),
    panels: [['refs', 'CPU s per 1,000 requests', 'cpuPerThousand', ({ kind }) => kind === 'advertisement']],
  },
  'cold-storm': {
    about: `Clients that all ask at once, on new connections, for an advertisement that no cache has. Each server is new, and has
answered requests for another repository for half a second, so that its code is warm.`,
    columns: storm,
    panels: stormPanels,
  },
  'slow-first': {
    about: `The same, after one client that takes 50 KB/s has sent its request.`,
    columns: storm,
    panels: stormPanels,
  },
  'mutation-storm': {
    about: `Five times a second \`git update-ref\` changes a ref, and then tells the cache in its own way: for nginx the entries’ files
are deleted, Varnish gets a BAN, refstream is told nothing. Readers in a closed loop. An answer is stale if it shows a value that had been
replaced, and the cache told so, before the question was sent.`,
    columns: columns(
      ...[
        server,
        ['told by', 'tells'],
        ['updates', 'updates'],
        ['reads/s', 'readsPerSecond'],
        ['p50, ms', 'p50'],
      ],
      ...[
        ['p99, ms', 'p99'],
        ['Git processes', 'processes'],
        ['stale', 'stale'],
      ],
      ...[['oldest stale, ms', 'oldestStaleMs'], ['CPU s per 1,000 reads', 'cpuPerThousand'], busy, faults],
    ),
    panels: [
      ['', 'read p99, ms', 'p99'],
      ['', 'CPU s per 1,000 reads', 'cpuPerThousand'],
      ['', 'stale answers', 'stale'],
      ['', 'Git processes', 'processes'],
    ],
  },
  'real-clients': {
    about: `Git clients of their own process each, all at once, after one has warmed the cache. Wall is until the last has ended, and is
mostly the clients’ own work; CPU is the server’s and its children’s.`,
    columns: columns(
      ...[
        ['protocol', 'protocol'],
        ['command', 'operation'],
        ['refs', 'refs'],
        ['clients', 'clients'],
        server,
      ],
      ...[['wall, s', 'seconds'], ['CPU, s', 'cpuSeconds'], ['Git processes', 'processes'], faults],
    ),
    panels: [['protocol operation', 'server CPU, s', 'cpuSeconds']],
  },
  'slow-clients': {
    about: `Clients that take 50 KB/s, each with a receive buffer of 4 KB and Ethernet’s segment size, all on one warm entry. Memory is
that of the server’s processes, shared pages counted once (Pss); what the kernel holds for the sockets is beside it. A fast client reads the
same entry, alone and beside them.`,
    columns: columns(
      ...[server, ['slow clients', 'clients'], ['being answered', 'answered'], ['memory, MB', 'megabytes']],
      ...[
        ['KB per client', 'kilobytesPerClient'],
        ['kernel, KB per client', 'kernelKilobytesPerClient'],
      ],
      ...[
        ['CPU, s per s', 'cpuSecondsPerSecond'],
        ['Git processes', 'processes'],
        ['fast read alone, ms', 'aloneMs'],
      ],
      ...[['beside them, ms', 'besideMs'], busy, faults],
    ),
    panels: [
      ['', 'KB per slow client', 'kilobytesPerClient'],
      ['', 'a fast read beside them, ms', 'besideMs'],
    ],
  },
  restart: {
    about: `The server has answered, is stopped, and starts on the same cache directory: time until a client, who tries all the while, has the
whole right answer. Varnish keeps its cache in memory; nginx alone has none.`,
    columns: columns(
      ...[server, ['refs', 'refs'], ['first right answer, ms', 'ms'], ['Git processes', 'processes'], faults],
    ),
    panels: [['', 'first right answer, ms', 'ms']],
  },
}

const kindOf = (name, contenders) =>
  name === 'refstream' ? 'ours' : contenders.includes(name) ? 'bar' : 'other'

/** The picture of a scenario, as SVG. */
export function picture(scenario, { title, rows }, contenders) {
  const panels = sections[scenario].panels.flatMap(([keys, label, key, where = () => true]) => {
    const name = (row) =>
      keys
        .split(' ')
        .filter(Boolean)
        .map((each) => (each === 'refs' ? `${row.refs.toLocaleString('en-US')} refs` : row[each]))
        .join(' ')
    const chosen = rows.filter(where)
    return [...new Set(chosen.map(name))].map((group) => ({
      title: group ? `${group}: ${label}` : label,
      bars: chosen
        .filter((row) => name(row) === group)
        .map((row) => ({ name: row.server, value: row[key], kind: kindOf(row.server, contenders) })),
    }))
  })
  return barCharts(title, panels)
}

const compared = (list) =>
  table(
    ['measure', 'refstream', 'best other', '', 'refstream ÷ best other'],
    list.map(({ title, label, ours, best, bestName, ratio }) =>
      [`${title}: ${label}`, ours, best, bestName, ratio].map(cell),
    ),
  )

function headline(list, verdicts) {
  const met = verdicts.filter((each) => each.met).length
  const [wins, losses] = [list.filter(({ ratio }) => ratio < 1), list.filter(({ ratio }) => !(ratio <= 1))]
  const worst = losses.toSorted((a, b) => b.ratio - a.ratio)
  return [
    `refstream is better than the best of the others in ${wins.length} of ${list.length} measures, worse in ${losses.length}, and as good`,
    `in ${list.length - wins.length - losses.length}; ${met} of ${verdicts.length} targets are met. A ratio above 1 is a loss.\n`,
    '## Where others win\n',
    ...(worst.length > 0 ? compared(worst) : ['Nowhere in this run.']),
    '\n## Where refstream wins\n',
    ...(wins.length > 0 ? compared(wins.toSorted((a, b) => a.ratio - b.ratio)) : ['Nowhere in this run.']),
    '\n## Targets\n',
    ...table(
      ['target', 'refstream', 'against', '', 'ratio', 'allowed', 'verdict'],
      verdicts.map(({ title, label, ours, best, bestName, ratio, limit, met, faults }) => {
        const missed = faults ? `missed: ${faults}` : `missed by ${figure(ratio / limit)}×`
        return [`${title}: ${label}`, ours, best, bestName, ratio, limit, met ? 'met' : missed].map(cell)
      }),
    ),
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
  const verdicts = targets(scenarios, list)
  return [
    `# refstream beside nginx and Varnish\n`,
    ...(quick ? ['A quick run: small numbers, one round, fit only to see that all works.\n'] : []),
    ...headline(list, verdicts),
    '\n## The run\n',
    `- ${machine.cores} × ${machine.model}, ${machine.memoryGigabytes} GB; ${machine.system}. Load before the run: ${machine.load.toFixed(2)}; it took ${minutes} minutes.`,
    `- ${Object.entries(versions)
      .filter(([, version]) => version)
      .map(([program, version]) => `${program} ${version}`)
      .join('; ')}.`,
    `- Contenders’ configurations, with reasons: \`test/bench/contenders/\`. Clients and servers share the machine, over loopback.`,
    `- CPU is that of a server and all that it started: ${method}. Git processes are counted by a wrapper that all use alike.`,
    `- Each answer’s bytes are hashed and compared with Git’s own; “wrong answers” says whose were not the same.`,
    `- The load generator is \`test/bench/load/load.c\`, one thread. Its own CPU share stands in each row.`,
    ...missing.map((each) => `- Left out: ${each}.`),
    ...failures.map((each) => `- Failed: ${each}.`),
    ...Object.entries(scenarios).flatMap(([scenario, { title, rows }]) => [
      `\n## ${title}\n`,
      sections[scenario].about,
      `\n![${title}](${name}-${scenario}.svg)\n`,
      ...table(
        sections[scenario].columns.map(({ head }) => head),
        rows.map((row) => sections[scenario].columns.map(({ key, show }) => show(row[key]))),
      ),
    ]),
    `\nAll figures, of each round: [${name}.json](${name}.json). To make this report again: \`make bench\`.`,
  ].join('\n')
}
