// What repositories, refs and clients cost in memory, disk and CPU: the figures behind docs/sizing.md. Takes two minutes.
//
//   make build && node test/bench/sizing.mjs
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeRepository, metric, rssBytes, startRefstream, table } from './rig.mjs'

const quick = Boolean(process.env.QUICK)
/** Clients that ask at once. */
const together = 64
const agent = new Agent({ keepAlive: true, maxSockets: together })
const pkt = (text) => (text.length + 4).toString(16).padStart(4, '0') + text
const lsRefs = [pkt('command=ls-refs\n'), '0001', pkt('peel\n'), pkt('symrefs\n'), '0000'].join('')
const headers = { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }

/** Asks for all refs, and resolves with the length of the answer. */
async function listAll(url, name) {
  const sent = request(`${url}/${name}/git-upload-pack`, { agent, method: 'POST', headers }).end(lsRefs)
  const [response] = await once(sent, 'response')
  if (response.statusCode !== 200) throw new Error(`${name}: ${response.statusCode}`)
  let bytes = 0
  for await (const chunk of response) bytes += chunk.length
  return bytes
}

/** Bytes of the entries that a sidecar has on disk. */
const diskBytes = (sidecar) => metric(sidecar, 'refstream_store_bytes')

/** One repository: what the first answer and each further one cost. */
async function byRefs(refs) {
  const name = `refs-${refs}.git`
  makeRepository(name, refs)
  const sidecar = await startRefstream()
  await settle()
  const [rss, cpu] = [rssBytes(sidecar.pid), sidecar.cpuSeconds()]
  const bytes = await listAll(sidecar.url, name)
  await settle()
  const filled = sidecar.cpuSeconds() - cpu
  const disk = await diskBytes(sidecar)
  // The first hundreds are slower: the code is compiled meanwhile.
  const rounds = Math.min(quick ? 200 : 1000, Math.ceil((quick ? 1e8 : 1e9) / bytes))
  for (let round = 0; round < rounds / 2; round++) await listAll(sidecar.url, name)
  const before = sidecar.cpuSeconds()
  for (let round = 0; round < rounds; round++) await listAll(sidecar.url, name)
  const warm = (sidecar.cpuSeconds() - before) / rounds
  const atOnce = sidecar.cpuSeconds()
  const groups = Math.ceil((4 * rounds) / together)
  for (let group = 0; group < groups; group++) {
    await Promise.all(Array.from({ length: together }, () => listAll(sidecar.url, name)))
  }
  const shared = (sidecar.cpuSeconds() - atOnce) / (groups * together)
  await settle()
  const row = [
    refs,
    bytes / 1e6,
    (rssBytes(sidecar.pid) - rss) / 1e6,
    disk / 1e6,
    filled * 1e3,
    warm * 1e3,
    shared * 1e3,
  ]
  await sidecar.stop()
  return row
}

/** Many repositories, each asked once. */
async function byRepositories(count, refs) {
  const names = Array.from({ length: count }, (_, index) => `of-${refs}/${index}.git`)
  for (const name of names) makeRepository(name, refs)
  const sidecar = await startRefstream()
  await settle()
  const [rss, cpu] = [rssBytes(sidecar.pid), sidecar.cpuSeconds()]
  let bytes = 0
  for (const name of names) bytes += await listAll(sidecar.url, name)
  await settle()
  const grown = rssBytes(sidecar.pid) - rss
  const disk = await diskBytes(sidecar)
  const row = [
    count,
    refs,
    bytes / 1e6,
    grown / 1e6,
    disk / 1e6,
    ((sidecar.cpuSeconds() - cpu) / count) * 1e3,
  ]
  await sidecar.stop()
  return row
}

/** Connections that wait after an answer, and clients that read nothing of a long one. */
async function byClients(count, name, isStalled) {
  const sidecar = await startRefstream()
  const { port, hostname } = new URL(sidecar.url)
  await listAll(sidecar.url, name)
  await settle()
  const rss = rssBytes(sidecar.pid)
  const lines = [`POST /${name}/git-upload-pack HTTP/1.1`, 'Host: x', `Content-Length: ${lsRefs.length}`]
  for (const [header, value] of Object.entries(headers)) lines.push(`${header}: ${value}`)
  const head = `${lines.join('\r\n')}\r\n\r\n`
  const sockets = []
  for (let index = 0; index < count; index++) {
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    socket.write(head + lsRefs)
    await once(socket, 'readable')
    if (!isStalled) socket.resume()
    sockets.push(socket)
  }
  await settle()
  const each = (rssBytes(sidecar.pid) - rss) / count
  for (const socket of sockets) socket.destroy()
  await sidecar.stop()
  return each / 1e3
}

/** Until what is done after an answer is done, and the garbage of it is collected where it would be. */
const settle = () => sleep(1500)

const idle = await startRefstream()
await settle()
console.log(`idle: ${(rssBytes(idle.pid) / 1e6).toFixed(0)} MB\n`)
await idle.stop()

const sizes = quick ? [100, 10_000] : [100, 1000, 10_000, 100_000, 500_000]
const rows = []
for (const refs of sizes) rows.push(await byRefs(refs))
const columns = [
  'refs',
  'answer, MB',
  'memory, MB',
  'disk, MB',
  'first answer, ms of CPU (with Git)',
  'each further one, ms of CPU',
  'each of 64 at once, ms of CPU',
]
console.log(table(columns, rows).join('\n'), '\n')

const many = quick
  ? [[50, 1000]]
  : [
      [100, 1000],
      [500, 1000],
      [2000, 1000],
      [50, 20_000],
    ]
const repositories = []
for (const [count, refs] of many) repositories.push(await byRepositories(count, refs))
const heads = [
  'repositories',
  'refs each',
  'answers, MB',
  'memory, MB',
  'disk, MB',
  'each, ms of CPU (with Git)',
]
console.log(table(heads, repositories).join('\n'), '\n')

const clients = quick ? 200 : 2000
const kept = await byClients(clients, 'refs-100.git', false)
const stalled = await byClients(clients, 'refs-10000.git', true)
console.log(
  `${clients} idle connections: ${kept.toFixed(1)} kB each; as many that read nothing of 0.8 MB: ${stalled.toFixed(1)} kB each`,
)
agent.destroy()
