// Three nodes of a fleet beside three that know nothing of each other, over one repository that changes: what each state costs,
// how long a first answer takes that another node makes, and what the engine is asked. Needs redis-server (and etcd).
//
//   make build && node test/bench/fleet.mjs [STATES] [REFS] [CLIENTS] [WARM-REQUESTS]
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  directory,
  makeRepository,
  median,
  metric,
  recordingGit,
  root,
  startRefstream,
  startUpstream,
  table,
} from './rig.mjs'
import { startPlainServer } from './rig.mjs'

const [states, refs, clients, warm] = [20, 5000, 60, 3000].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
const names = ['a', 'b', 'c']
const path = 'r.git/info/refs?service=git-upload-pack'

makeRepository('r.git', refs)
const recorder = recordingGit()
const secret = join(directory, 'secret')
writeFileSync(secret, randomBytes(24).toString('base64'))

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

const engines = {
  alone: () => undefined,
  redis: async () => {
    const port = await freePort()
    const child = spawn('redis-server', ['--port', String(port), '--save', ''], { stdio: 'ignore' })
    return { url: `redis://127.0.0.1:${port}`, child }
  },
  etcd: async () => {
    const [port, peers] = [await freePort(), await freePort()]
    const urls = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peers}`]
    const child = spawn(
      'etcd',
      ['--data-dir', join(directory, `etcd-${port}`), '--listen-client-urls', urls[0]].concat(
        ['--advertise-client-urls', urls[0], '--listen-peer-urls', urls[1]],
        ['--initial-advertise-peer-urls', urls[1], '--initial-cluster', `default=${urls[1]}`],
      ),
      { stdio: 'ignore' },
    )
    return { url: `etcd://127.0.0.1:${port}`, child }
  },
}

let fleets = 0
async function startNodes(engine, start) {
  const number = fleets++
  const socket = (name) => `unix:${join(directory, `${number}${name}.sock`)}`
  const members = names.map((name) => `${name}=${socket(name)}`).join(',')
  const flags = (name) =>
    engine
      ? ['--fleet', engine.url, '--fleet-node', name, '--peer', socket(name)].concat([
          '--fleet-members',
          members,
          '--fleet-secret-file',
          secret,
        ])
      : []
  const nodes = await Promise.all(names.map((name) => start(flags(name))))
  for (const node of engine ? nodes : [])
    while ((await metric(node, 'refstream_fleet_engine_up')) < 1) await sleep(50)
  return nodes
}

const get = async (node) => {
  const began = performance.now()
  const response = await fetch(`${node.url}/${path}`)
  const bytes = (await response.arrayBuffer()).byteLength
  if (response.status !== 200 || bytes < refs * 40) throw new Error(`${response.status}, ${bytes} bytes`)
  return performance.now() - began
}

let commits = 0
function change() {
  const git = (...args) =>
    execFileSync('git', args, { cwd: join(root, 'r.git'), input: '' })
      .toString()
      .trim()
  const tree = git('hash-object', '-t', 'tree', '-w', '--stdin')
  const who = ['-c', 'user.name=b', '-c', 'user.email=b@example.com']
  git('update-ref', 'refs/heads/main', git(...who, 'commit-tree', tree, '-m', `state ${++commits}`))
}

const sum = async (nodes, name) =>
  (await Promise.all(nodes.map((node) => metric(node, name)))).reduce((a, b) => a + b)

/** For each state: one client asks the first node, then one the second, then all the others at once. */
async function measure(nodes) {
  recorder.clear()
  const [first, second] = [[], []]
  const cpu = () => nodes.reduce((total, { cpuSeconds }) => total + cpuSeconds(), 0)
  const [cpuBefore, operations] = [cpu(), await sum(nodes, 'refstream_fleet_engine_operations_total')]
  for (let state = 0; state < states; state++) {
    change()
    // The state is settled then.
    await sleep(40)
    first.push(await get(nodes[0]))
    second.push(await get(nodes[1]))
    await Promise.all(Array.from({ length: clients }, (_, index) => get(nodes[index % nodes.length])))
  }
  const requests = states * (clients + 2)
  return {
    processes: recorder.read().started / states,
    cpuMs: ((cpu() - cpuBefore) * 1000) / requests,
    first: median(first),
    second: median(second),
    operations: ((await sum(nodes, 'refstream_fleet_engine_operations_total')) - operations) / requests,
  }
}

/** Requests that change nothing, on all nodes; operations of the engine for each, without the signs of life. */
async function measureWarm(nodes) {
  const name = 'refstream_fleet_engine_operations_total'
  const before = await sum(nodes, name)
  const began = performance.now()
  for (let done = 0; done < warm; done += clients)
    await Promise.all(Array.from({ length: clients }, (_, index) => get(nodes[index % nodes.length])))
  const beats = ((performance.now() - began) / 3000) * nodes.length
  return Math.max(0, (await sum(nodes, name)) - before - beats) / warm
}

const rows = []
for (const [name, open] of Object.entries(engines)) {
  const engine = await open()
  const nodes = await startNodes(engine, (flags) => startRefstream('--git', recorder.path, ...flags))
  const changing = await measure(nodes)
  const operations = await measureWarm(nodes)
  rows.push([name, ...Object.values(changing), operations.toFixed(3)])
  if (engine) {
    engine.child.kill('SIGKILL')
    await once(engine.child, 'exit')
    rows.push([
      `${name}, killed`,
      ...Object.values(await measure(nodes)),
      (await measureWarm(nodes)).toFixed(3),
    ])
  }
  await Promise.all(nodes.map((node) => node.stop()))
}
console.log(`3 nodes, ${refs} refs, ${states} states, ${clients + 2} requests per state; ms are medians\n`)
const columns = [
  'engine',
  'processes per state',
  'CPU ms per request',
  'ms of a first answer',
  'ms at the second node',
]
console.log(table([...columns, 'operations per request', 'the same, warm'], rows).join('\n'))

const server = await startPlainServer('git')
const asked = []
for (const [name, open] of Object.entries({ alone: engines.alone, redis: engines.redis })) {
  const engine = await open()
  const nodes = await startNodes(engine, (flags) => startUpstream(server.url, flags))
  for (let state = 0; state < states; state++) {
    change()
    await Promise.all(Array.from({ length: clients }, (_, index) => get(nodes[index % nodes.length])))
  }
  asked.push([name, (await sum(nodes, 'refstream_upstream_requests_total')) / states])
  await Promise.all(nodes.map((node) => node.stop()))
  engine?.child.kill()
}
console.log(`\nAn upstream in exact mode, ${clients} clients at once over 3 nodes for each state\n`)
console.log(table(['engine', 'upstream requests per state'], asked).join('\n'))
await server.stop()
process.exit(0)
