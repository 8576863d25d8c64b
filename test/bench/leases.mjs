// Readers in a closed loop on a repository in lease mode, first while leases are opened and ended 20 times a second,
// each around a change; then during one long push. Counts stale answers, processes and how many ran at once.
//
//   make build && node test/bench/leases.mjs [REFS] [SECONDS] [READERS] [LONG-PUSH-READERS]
import { setTimeout as sleep } from 'node:timers/promises'
import { leaseApi, Marker, now } from './marker.mjs'
import { makeRepository, quantile, recordingGit, runJson, startRefstream } from './rig.mjs'

const [refs, seconds, readers, pushReaders] = [100_000, 30, 200, 1000].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
const leasesPerSecond = 20

makeRepository('r.git', refs)
const marker = new Marker('r.git')
const recorder = recordingGit()
const server = await startRefstream('--git', recorder.path, '--freshness', 'lease')

const read = (count) =>
  runJson('readers.mjs', `${server.url}/r.git/info/refs?service=git-upload-pack`, count, seconds, marker.ref)

function report(title, answers, leases) {
  const { started, most } = recorder.read()
  recorder.clear()
  const times = answers.map(({ start, end }) => end - start)
  const columns = [
    title,
    leases,
    answers.length,
    answers.filter((answer) => marker.isStale(answer)).length,
    started,
    most,
  ]
  const [p50, p99] = [0.5, 0.99].map((share) => Math.round(quantile(times, share)))
  console.log(`| ${[...columns, p50, p99].join(' | ')} |`)
}

console.log(`${refs} refs, lease mode\n`)
console.log('| | leases | answers | stale | processes | most at once | ms p50 | ms p99 |')
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |')

async function mutate() {
  const deadline = now() + seconds * 1000
  for (let next = now(); next < deadline; next += 1000 / leasesPerSecond) {
    await sleep(Math.max(0, next - now()))
    await marker.change(server)
  }
}
const [answers] = await Promise.all([read(readers), mutate()])
report(`${readers} readers, ${leasesPerSecond} leases a second, for ${seconds} s`, answers, marker.changes)

const { id } = await leaseApi(server, 'POST', '/v1/leases', {
  repository: 'r.git',
  ttlSeconds: 600,
  reason: 'a long push',
})
const during = await read(pushReaders)
await leaseApi(server, 'DELETE', `/v1/leases/${id}`, {})
report(`${pushReaders} readers, one lease open for ${seconds} s`, during, 1)
console.log('\nHad every reader passed the cache by while a lease was open: as many processes as answers.')
await server.stop()
