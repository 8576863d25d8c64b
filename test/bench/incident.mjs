// An incident replayed: a large repository changes every few seconds, and hundreds of clients ask for its refs again and
// again, most of them over slow lines, some of which break. To refstream, and to a cache that is passed by while a
// change is under way and is filled at the pace of its first client (tee-server.mjs), in turn.
//
//   make build && node test/bench/incident.mjs [REFS] [SECONDS] [SLOW] [VANISHING] [FAST]
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { clearInterval, setInterval } from 'node:timers'
import { setTimeout as sleep } from 'node:timers/promises'
import { lineCharts } from './chart.mjs'
import { Marker, now } from './marker.mjs'
import { directory, makeRepository, quantile, recordingGit, root, rssBytes, runJson, save } from './rig.mjs'
import { startRefstream, startScript, table } from './rig.mjs'

const [refs, seconds, slow, vanishing, fast] = [200_000, 45, 430, 50, 20].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
const bytesPerSecond = 200_000
const changeEveryMs = 3000
const changeLastsMs = 500

makeRepository('r.git', refs)
const marker = new Marker('r.git')
const { length } = execFileSync('git', ['upload-pack', '--advertise-refs', join(root, 'r.git')], {
  maxBuffer: 1 << 28,
})

/** A change every few seconds, each under a lease of the server's. */
async function change(server, deadline) {
  for (let next = now() + 1000; next < deadline; next += changeEveryMs) {
    await sleep(Math.max(0, next - now()))
    await marker.change(server, changeLastsMs)
  }
}

const recorder = recordingGit()
const contenders = {
  refstream: {
    start: () => startRefstream('--git', recorder.path, '--freshness', 'lease'),
    redundant: async ({ adminUrl }) => {
      const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
      const value = (name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(metrics)?.[1])
      return { writes: value('refstream_loser_writes_total'), bytes: value('refstream_loser_bytes_total') }
    },
  },
  'bypass and tee': {
    start: async () => {
      const server = await startScript(
        'tee-server.mjs',
        root,
        recorder.path,
        mkdtempSync(join(directory, 'tee-')),
      )
      return { ...server, adminUrl: server.url }
    },
    redundant: async ({ url }) => {
      const { redundant, redundantBytes } = await (await fetch(`${url}/counts`)).json()
      return { writes: redundant, bytes: redundantBytes }
    },
  },
}

async function replay({ start, redundant }) {
  const server = await start()
  recorder.clear()
  marker.clear()
  const begun = now()
  const memory = []
  const watching = setInterval(() => memory.push([(now() - begun) / 1000, rssBytes(server.pid) / 1e6]), 500)
  const url = `${server.url}/r.git/info/refs?service=git-upload-pack`
  const [seen] = await Promise.all([
    runJson('slow-readers.mjs', url, seconds, bytesPerSecond, slow, vanishing, fast, length),
    change(server, begun + seconds * 1000),
  ])
  clearInterval(watching)
  const record = recorder.read()
  const whole = seen.answers.filter(({ result }) => result === 'whole')
  const times = whole.filter(({ kind }) => kind === 'fast').map((answer) => answer.ended - answer.sent)
  const losers = await redundant(server).catch(() => ({ writes: NaN, bytes: NaN }))
  const cpuSeconds = server.cpuSeconds()
  await server.stop()
  await sleep(1000)
  return {
    changes: marker.changes,
    answersPerSecond: whole.length / seconds,
    broken: seen.answers.filter(({ result }) => result === 'broken').length,
    vanished: seen.answers.filter(({ result }) => result === 'vanished').length,
    stale: whole.filter(({ sent, ended, marker: value }) =>
      marker.isStale({ start: sent, end: ended, value }),
    ).length,
    fastP50: quantile(times, 0.5),
    fastP99: quantile(times, 0.99),
    slowRate: seen.bytesOf.slow / slow / seconds,
    started: record.started,
    most: record.most,
    mostPerKey: record.mostPerKey,
    redundantWrites: losers.writes,
    redundantMegabytes: losers.bytes / 1e6,
    mostMemory: Math.max(...memory.map(([, megabytes]) => megabytes)),
    cpuSeconds,
    memory,
    processes: record.overTime.map((each) => [each.seconds - record.overTime[0].seconds, each.running]),
  }
}

const loadBefore = loadavg()
const results = {}
for (const [name, contender] of Object.entries(contenders)) results[name] = await replay(contender)

const report = [
  `${refs} refs (${(length / 1e6).toFixed(1)} MB), a change under a lease of ${changeLastsMs} ms every ${changeEveryMs / 1000} s, for ${seconds} s.`,
  `Clients in a closed loop: ${slow} at ${bytesPerSecond / 1000} KB/s, ${vanishing} more of these vanish midway, ${fast} read as fast as they can.\n`,
  ...table(
    ['server', 'processes', 'at once', 'at once per key', 'redundant writes', 'redundant MB', 'most RSS, MB']
      .concat(['whole answers/s', 'broken', 'stale', 'fast client p50, ms', 'p99, ms'])
      .concat(['KB/s per slow client', 'CPU s']),
    Object.entries(results).map(([name, row]) =>
      [name, row.started, row.most, row.mostPerKey, row.redundantWrites, row.redundantMegabytes]
        .concat([row.mostMemory, row.answersPerSecond, row.broken, row.stale, row.fastP50, row.fastP99])
        .concat([row.slowRate / 1000, row.cpuSeconds]),
    ),
  ),
].join('\n')
console.log(report)

const series = (key) =>
  Object.entries(results).map(([name, row]) => ({ name, points: row[key], dots: false }))
const x = { label: 'time, seconds' }
const panels = [
  { title: 'Git processes at once', x, y: { label: 'processes', log: true }, series: series('processes') },
  { title: 'resident memory of the server', x, y: { label: 'megabytes' }, series: series('memory') },
]
const figures = { refs, seconds, slow, vanishing, fast, length, loadBefore, loadAfter: loadavg(), results }
save('incident', report, figures, lineCharts('Changes every few seconds, and slow clients', panels))
