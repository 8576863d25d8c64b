// Polls in protocol v2, refstream beside plain `git http-backend`, in turn, in one run: many real clients at once on a
// large repository, and single polls (capabilities, then ls-refs for refs/heads/) on a small one.
//
//   make build && node test/bench/polls.mjs [CLIENTS] [REFS] [POLLS]
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { contenders, makeRepository, processesStarted } from './rig.mjs'

const [clients, refs, polls] = [50, 100_000, 300].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
makeRepository('large.git', refs)
makeRepository('small.git', 20)

const run = promisify(execFile)
const lsRemote = (url) => run('git', ['-c', 'protocol.version=2', 'ls-remote', url], { maxBuffer: 1 << 28 })

const packet = (text) => (text.length + 4).toString(16).padStart(4, '0') + text
const body = [
  ...[packet('command=ls-refs\n'), packet('agent=bench\n'), packet('object-format=sha1\n'), '0001'],
  ...[packet('peel\n'), packet('symrefs\n'), packet('ref-prefix refs/heads/\n'), '0000'],
].join('')

async function poll(url) {
  const headers = { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }
  const capabilities = await fetch(`${url}/info/refs?service=git-upload-pack`, { headers })
  await capabilities.arrayBuffer()
  const refs = await fetch(`${url}/git-upload-pack`, { method: 'POST', headers, body })
  const text = await refs.text()
  if (text.match(/ refs\/heads\//g)?.length !== 20) throw new Error(`a wrong answer: ${text}`)
}

/** CPU milliseconds and Git processes that some work costs a server. */
async function cost(server, work) {
  processesStarted()
  const before = server.cpuSeconds()
  const started = performance.now()
  await work()
  const wall = performance.now() - started
  return { cpu: (server.cpuSeconds() - before) * 1000, processes: processesStarted(), wall }
}

const rows = {}
for (const [name, start] of Object.entries(contenders)) {
  const server = await start()
  const storm = () => Promise.all(Array.from({ length: clients }, () => lsRemote(`${server.url}/large.git`)))
  const cold = await cost(server, storm)
  const warm = await cost(server, storm)
  await poll(`${server.url}/small.git`)
  const single = await cost(server, async () => {
    for (let round = 0; round < polls; round++) await poll(`${server.url}/small.git`)
  })
  rows[name] = { cold, warm, single }
  await server.stop()
}

console.log(
  `${clients} real \`git ls-remote\` at once on ${refs} refs, and ${polls} polls on 20 refs; CPU of the server`,
)
console.log('and of all that it started, in ms\n')
console.log(
  '| server | cold: processes | CPU | wall | warm: processes | CPU | wall | a poll: processes | CPU |',
)
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |')
for (const [name, { cold, warm, single }] of Object.entries(rows)) {
  const cells = [cold, warm].flatMap((each) => [each.processes, Math.round(each.cpu), Math.round(each.wall)])
  console.log(
    `| ${name} | ${[...cells, single.processes / polls, (single.cpu / polls).toFixed(2)].join(' | ')} |`,
  )
}
const ratio = (part) => (rows['git http-backend'][part].cpu / rows.refstream[part].cpu).toFixed(1)
console.log(
  `\nCPU, git http-backend ÷ refstream: cold ${ratio('cold')}, warm ${ratio('warm')}, a poll ${ratio('single')}`,
)
