// Idle and slow followers: thousands of clients that ask for one large entry and take next to nothing of it. What each
// costs refstream in memory, apart from the kernel's socket buffers, and what others notice.
//
//   make build && node test/bench/followers.mjs [FOLLOWERS] [SLOW] [REFS] [STEPS] [FLAGS…]      needs python3
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { lineCharts } from './chart.mjs'
import { makeRepository, quantile, rssBytes, runJson, save, startRefstream, table } from './rig.mjs'

const [followers, slow, refs, steps] = [10_000, 1000, 200_000, 4].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
const clients = fileURLToPath(new URL('idle-clients.py', import.meta.url))

makeRepository('r.git', refs)
// Servers inherit how many files may be open.
const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))[1])
if (limit < followers + 200)
  throw new Error(`run this after \`ulimit -n ${followers + 1000}\`: it is ${limit}`)
const server = await startRefstream(...process.argv.slice(6))
const url = `${server.url}/r.git/info/refs?service=git-upload-pack`

/** Kernel memory of all TCP sockets in bytes, /proc/net/sockstat. */
const socketBytes = () =>
  Number(/^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))[1]) * 4096

async function metrics() {
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text()
  const value = (name) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1])
  return {
    followers: value('refstream_followers'),
    external: value('nodejs_external_memory_bytes'),
    heap: value('nodejs_heap_size_used_bytes'),
  }
}

/** Milliseconds that each of some GETs of a path on the admin address took, one after the other. */
async function admin(path, times) {
  const taken = []
  for (let turn = 0; turn < times; turn++) {
    const started = performance.now()
    await (await fetch(server.adminUrl + path)).text()
    taken.push(performance.now() - started)
  }
  return quantile(taken, 0.99)
}

/** What is to be seen now, with that many followers. */
async function measure(count) {
  await sleep(2000)
  const resident = rssBytes(server.pid)
  const sockets = socketBytes()
  const state = await metrics()
  const reads = []
  for (let turn = 0; turn < 5; turn++) reads.push((await runJson('load.mjs', url, 1))[0].last)
  const [healthz, scrape] = [await admin('/healthz', 200), await admin('/metrics', 200)]
  return { count, resident, sockets, ...state, read: quantile(reads, 0.5), healthz, scrape }
}

async function hang(count, slow) {
  const { hostname, port } = new URL(server.url)
  const args = [clients, hostname, port, '/r.git/info/refs?service=git-upload-pack', count, slow]
  const child = spawn('python3', args.map(String), { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  if ((await lines.next()).value !== 'ready') throw new Error('the clients did not get their answers')
  return async () => {
    child.stdin.end()
    const closed = Number((await lines.next()).value)
    if (child.exitCode === null) await once(child, 'exit')
    return closed
  }
}

// The entry is committed and hot, and everything has been used, before the first measurement.
await runJson('load.mjs', url, 50)
await measure(0)
const rows = [await measure(0)]
const ends = []
for (let step = 0; step < steps; step++) {
  ends.push(await hang(followers / steps, slow / steps))
  rows.push(await measure((followers / steps) * (step + 1)))
}
const closed = await Promise.all(ends.map((end) => end()))
const after = await measure(0)
await server.stop()

const [none] = rows
const each = (row, key) => (row[key] - none[key]) / 1024 / row.count
const report = [
  `${followers} followers of one entry of ${refs} refs, of which ${slow} take 2 KB a second and the others nothing. Each`,
  'has a receive buffer of 4 KB and Ethernet’s segment size. Meanwhile one client at a time reads it all.\n',
  ...table(
    [
      'followers',
      'RSS, MB',
      'KB per follower',
      'of it heap',
      'of it external',
      'kernel, KB per follower',
    ].concat(['a whole read, ms', '/healthz p99, ms', '/metrics p99, ms']),
    [...rows, after].map((row) =>
      [row.followers, row.resident / 1e6]
        .concat(
          row.count > 0
            ? ['resident', 'heap', 'external', 'sockets'].map((key) => each(row, key))
            : ['–', '–', '–', '–'],
        )
        .concat([row.read, row.healthz, row.scrape]),
    ),
  ),
  `\nThe last row: after they had gone. Connections that were closed under their hands: ${closed.reduce((sum, count) => sum + count, 0)}.`,
].join('\n')
console.log(report)

const x = { label: 'followers' }
const series = (name, of) => ({ name, points: rows.map((row) => [row.count, of(row)]) })
const panels = [
  {
    ...{ title: 'memory', x, y: { label: 'megabytes' } },
    series: [
      series('refstream', ({ resident }) => resident / 1e6),
      series('kernel’s socket buffers', ({ sockets }) => sockets / 1e6),
    ],
  },
  {
    ...{ title: 'a whole read beside them', x, y: { label: 'milliseconds' } },
    series: [series('refstream', ({ read }) => read)],
  },
  {
    ...{ title: '/metrics, 99th percentile', x, y: { label: 'milliseconds' } },
    series: [series('refstream', ({ scrape }) => scrape)],
  },
]
const figures = { followers, slow, refs, loadBefore: loadavg(), rows, after, closed }
save('followers', report, figures, lineCharts('Idle and slow followers of one entry', panels))
