// Overload: requests come at 1 to 20 times the rate that the machine can answer with plain `git http-backend`, in an
// open loop, to refstream and to plain `git http-backend` in turn, while refs change.
//
//   make build && node test/bench/overload.mjs [SECONDS-PER-STEP] [MULTIPLES] [REFS] [REPOSITORIES]
import { execFile, execFileSync } from 'node:child_process'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { hrtime } from 'node:process'
import { clearInterval, setInterval } from 'node:timers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { lineCharts } from './chart.mjs'
import { children, makeRepository, quantile, root, runJson, save, startPlainServer } from './rig.mjs'
import { startRefstream, table } from './rig.mjs'

const [seconds, steps, refs, count] = ['10', '1,2,5,10,15,20', '10000', '8'].map(
  (value, index) => process.argv[index + 2] ?? value,
)
const multiples = steps.split(',').map(Number)
const timeoutMs = 10_000
const generators = 2

// ---- what is served: each repository has a marker ref that moves, and a commit whose pack is worth a fetch

const run = promisify(execFile)
const repositories = Array.from({ length: Number(count) }, (_, index) => `r${index}.git`)
const identity = ['-c', 'user.name=b', '-c', 'user.email=b@example.com']
const contents = {}
const commits = {}
for (const name of repositories) {
  makeRepository(name, Number(refs))
  const git = (input, ...args) =>
    execFileSync('git', args, { cwd: join(root, name), input })
      .toString()
      .trim()
  const lines = Array.from({ length: 200 }, (_, line) => `${name} ${line}`.repeat(10)).join('\n')
  const blob = git(lines, 'hash-object', '-w', '--stdin')
  const files = Array.from({ length: 20 }, (_, file) => `100644 blob ${blob}\tfile-${file}\n`).join('')
  const tree = git(files, 'mktree')
  const commit = (message) => git('', ...identity, 'commit-tree', tree, '-m', message)
  contents[name] = commit('content')
  git('', 'update-ref', 'refs/heads/content', contents[name])
  commits[name] = Array.from({ length: 20 }, (_, version) => commit(`version ${version}`))
  git('', 'update-ref', 'refs/heads/a-marker', commits[name][0])
}

// ---- what is asked

const packet = (text) => (text.length + 4).toString(16).padStart(4, '0') + text
const command = (name, ...args) =>
  [packet(`command=${name}\n`), packet('agent=bench\n'), packet('object-format=sha1\n'), '0001']
    .concat(args.map((arg) => packet(`${arg}\n`)))
    .join('') + '0000'
const v2 = 'Git-Protocol: version=2\r\n'
const get = (name, headers) => ({
  head: `GET /${name}/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: bench\r\n${headers}Connection: close\r\n\r\n`,
})
const post = (name, body) => ({
  head:
    `POST /${name}/git-upload-pack HTTP/1.1\r\nHost: bench\r\n${v2}Connection: close\r\n` +
    `Content-Type: application/x-git-upload-pack-request\r\nContent-Length: ${body.length}\r\n\r\n`,
  body,
})
/** Per repository: polls for one branch (two requests, as Git makes them), some whole listings, and fetches. */
const requests = repositories.flatMap((repository) => [
  { kind: 'capabilities', weight: 40, repository, ...get(repository, v2) },
  {
    ...{ kind: 'ls-refs, one branch', weight: 40, repository },
    ...post(repository, command('ls-refs', 'peel', 'symrefs', 'ref-prefix refs/heads/a-marker')),
  },
  {
    ...{ kind: 'ls-refs, all', weight: 5, repository },
    ...post(repository, command('ls-refs', 'peel', 'symrefs', 'ref-prefix refs/heads/')),
  },
  { kind: 'advertisement v0', weight: 5, repository, ...get(repository, '') },
  {
    ...{ kind: 'fetch', weight: 10, repository },
    ...post(repository, command('fetch', 'no-progress', `want ${contents[repository]}`, 'done')),
  },
])

// ---- changes: one ref update a second, round the repositories

const now = () => Number(hrtime.bigint()) / 1e6
const writes = Object.fromEntries(repositories.map((name) => [name, [{ start: -Infinity, end: -Infinity }]]))
const valueOf = (name, version) => commits[name][version % commits[name].length]
let changing = true
async function change() {
  for (let turn = 0; changing; turn++) {
    const name = repositories[turn % repositories.length]
    const write = { start: now(), end: Infinity }
    writes[name].push(write)
    const value = valueOf(name, writes[name].length - 1)
    await run('git', ['-C', join(root, name), 'update-ref', 'refs/heads/a-marker', value])
    write.end = now()
    await sleep(1000)
  }
}

/** Was the marker's value in place at some moment between request and answer? */
function isFresh({ repository, sent, ended, marker }) {
  if (marker === undefined) return true
  const oldest = writes[repository].findLastIndex((write) => write.end < sent)
  return writes[repository].some(
    ({ start }, version) => version >= oldest && start < ended && valueOf(repository, version) === marker,
  )
}

// ---- the contenders

const counters = async (server) => {
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text()
  const matches = [...metrics.matchAll(/^refstream_processes_started_total\{.*\} (\d+)/gm)]
  return matches.reduce((sum, [, value]) => sum + Number(value), 0)
}
const contenders = {
  refstream: { start: () => startRefstream(), started: counters },
  'git http-backend': {
    start: () => startPlainServer('git'),
    started: async ({ url }) => Number(await (await fetch(`${url}/processes-started`)).text()),
  },
}

const plan = (server, rest) =>
  JSON.stringify({ url: server.url, seconds: Number(seconds), timeoutMs, requests, ...rest })

async function offer({ start, started }, rate) {
  const server = await start()
  // Not a cold start: each repository has been asked for once.
  for (const { head, kind } of requests) {
    if (head.startsWith('GET') && kind !== 'fetch') {
      const target = server.url + head.split(' ')[1]
      await (
        await fetch(target, kind === 'capabilities' ? { headers: { 'Git-Protocol': 'version=2' } } : {})
      ).text()
    }
  }
  const [startedBefore, cpuBefore] = [await started(server), server.cpuSeconds()]
  let most = 0
  const watching = setInterval(() => (most = Math.max(most, children(server.pid))), 50)
  const plans = Array.from({ length: generators }, (_, index) =>
    runJson('arrivals.mjs', plan(server, { rate: rate / generators, seed: 1 + index })),
  )
  const parts = await Promise.all(plans)
  clearInterval(watching)
  const answers = parts.flatMap((part) => part.answers)
  const figures = summary(answers, parts)
  figures.startedProcesses = (await started(server).catch(() => NaN)) - startedBefore
  Object.assign(figures, { mostProcesses: most, cpuSeconds: server.cpuSeconds() - cpuBefore })
  await server.stop()
  // What it left behind ends before the next one starts.
  await sleep(1000)
  return figures
}

function summary(answers, parts) {
  const right = answers.filter((answer) => answer.result === 'right' && isFresh(answer))
  const stale = answers.filter((answer) => answer.result === 'right' && !isFresh(answer)).length
  const number = (result) => answers.filter((answer) => answer.result === result).length
  // A rate is of what was answered while requests came: a server that only ever catches up afterwards has none.
  const end = Math.min(...answers.map(({ due }) => due)) + Number(seconds) * 1000
  const inTime = right.filter(({ ended }) => ended <= end)
  const latencies = right.map(({ due, ended }) => ended - due)
  const kinds = [...new Set(requests.map(({ kind }) => kind))]
  const goodputOf = (kind) => inTime.filter((answer) => answer.kind === kind).length / Number(seconds)
  const lateness = answers.map(({ due, sent }) => sent - due)
  return {
    offered: answers.length / Number(seconds),
    goodput: inTime.length / Number(seconds),
    goodputByKind: Object.fromEntries(kinds.map((kind) => [kind, goodputOf(kind)])),
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    shed: number('shed'),
    timeouts: number('timeout'),
    wrong: number('wrong'),
    broken: number('error'),
    stale,
    latenessP99: quantile(lateness, 0.99),
    generatorBusy: Math.max(...parts.map(({ busy }) => busy)),
  }
}

// ---- the run

const loadBefore = loadavg()
const changes = change()
const calibrated = await contenders['git http-backend'].start()
const closed = await runJson('arrivals.mjs', plan(calibrated, { clients: 4, seed: 1 }))
await calibrated.stop()
const capacity = closed.answers.filter(({ result }) => result === 'right').length / Number(seconds)

const results = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]))
for (const multiple of multiples) {
  for (const [name, contender] of Object.entries(contenders)) {
    results[name].push({ multiple, ...(await offer(contender, multiple * capacity)) })
  }
}
changing = false
await changes

const report = [
  `1× is ${capacity.toFixed(0)} requests/s: what 4 clients in a closed loop get from plain git http-backend.`,
  `${repositories.length} repositories of ${refs} refs, one ref update a second; ${seconds} s a step; a client gives up after ` +
    `${timeoutMs / 1000} s. Latency in ms, of right answers, from the moment at which they were due.\n`,
  ...table(
    [
      'load',
      'server',
      'offered/s',
      'right/s',
      'p50',
      'p99',
      'processes',
      'at once',
      '429',
      'timed out',
    ].concat(['wrong', 'refused or broken', 'stale', 'CPU s', 'generator late p99', 'generator CPU']),
    multiples.flatMap((multiple, index) =>
      Object.entries(results).map(([name, rows]) => {
        const row = rows[index]
        return [`${multiple}×`, name, row.offered, row.goodput, row.p50, row.p99, row.startedProcesses]
          .concat([
            row.mostProcesses,
            row.shed,
            row.timeouts,
            row.wrong,
            row.broken,
            row.stale,
            row.cpuSeconds,
          ])
          .concat([row.latenessP99, `${(row.generatorBusy * 100).toFixed(0)} %`])
      }),
    ),
  ),
  '\nRight answers a second by kind of request:\n',
  ...table(
    ['load', 'server', ...Object.keys(results.refstream[0].goodputByKind)],
    multiples.flatMap((multiple, index) =>
      Object.entries(results).map(([name, rows]) => [
        `${multiple}×`,
        name,
        ...Object.values(rows[index].goodputByKind),
      ]),
    ),
  ),
].join('\n')
console.log(report)

const series = (of) =>
  Object.entries(results).map(([name, rows]) => ({ name, points: rows.map((row) => [row.offered, of(row)]) }))
const x = { label: 'offered load, requests per second' }
const figures = {
  seconds: Number(seconds),
  refs: Number(refs),
  capacity,
  loadBefore,
  loadAfter: loadavg(),
  results,
}
save(
  'overload',
  report,
  figures,
  lineCharts('Goodput and latency under overload', [
    {
      title: 'right answers',
      x,
      y: { label: 'right answers per second' },
      series: series((row) => row.goodput),
    },
    {
      title: 'latency, 99th percentile',
      x,
      y: { label: 'milliseconds', log: true },
      series: series((row) => row.p99),
    },
    {
      title: 'processes at once',
      x,
      y: { label: 'processes', log: true },
      series: series((row) => row.mostProcesses),
    },
  ]),
)
