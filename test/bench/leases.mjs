// Readers in a closed loop on a repository in lease mode, first while leases are opened and ended 20 times a second,
// each around a change; then during one long push. Counts stale answers, processes and how many ran at once.
//
//   make build && node test/bench/leases.mjs [REFS] [SECONDS] [READERS] [LONG-PUSH-READERS]
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hrtime } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { directory, makeRepository, quantile, root, runJson, startRefstream } from './rig.mjs'

const run = promisify(execFile)
const [refs, seconds, readers, pushReaders] = [100_000, 30, 200, 1000].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
const leasesPerSecond = 20
const marker = 'refs/heads/a-marker'

makeRepository('r.git', refs)
const repository = join(root, 'r.git')
const git = (...args) => execFileSync('git', args, { cwd: repository, input: '' }).toString().trim()
const tree = git('hash-object', '-t', 'tree', '-w', '--stdin')
const identity = ['-c', 'user.name=b', '-c', 'user.email=b@example.com']
const commits = Array.from({ length: 50 }, (_, index) =>
  git(...identity, 'commit-tree', tree, '-m', String(index)),
)

// Writes down when each process starts and ends, so that one can count how many ran at once.
const calls = join(directory, 'runs')
const wrapper = join(directory, 'counting-git')
writeFileSync(
  wrapper,
  `#!/bin/sh\necho "+ $1" >> '${calls}'\ngit "$@"\ncode=$?\necho "- $1" >> '${calls}'\nexit $code\n`,
)
chmodSync(wrapper, 0o755)
writeFileSync(calls, '')
function uploadPacks() {
  let [started, running, most] = [0, 0, 0]
  for (const line of readFileSync(calls, 'utf8').split('\n')) {
    if (line === '+ upload-pack') most = Math.max(most, ++running, (started++, 0))
    if (line === '- upload-pack') running--
  }
  writeFileSync(calls, '')
  return { started, most }
}

const server = await startRefstream('--git', wrapper, '--freshness', 'lease')
const api = async (method, path, body) => {
  const response = await fetch(server.adminUrl + path, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.status === 204 ? undefined : response.json()
}

const now = () => Number(hrtime.bigint()) / 1e6
const value = (version) => commits[version % commits.length]
/** When each version of the marker began and ended to be written, by the clock that the readers use. */
const writes = [{ start: -Infinity, end: -Infinity }]
git('update-ref', marker, value(0))

/** Was the value in place at no moment between question and answer? */
function isStale({ start, end, value: seen }) {
  const oldest = writes.findLastIndex((write) => write.end < start)
  const possible = writes.flatMap((write, version) =>
    version >= oldest && write.start < end ? [value(version)] : [],
  )
  return !possible.includes(seen)
}

const read = (count) =>
  runJson('readers.mjs', `${server.url}/r.git/info/refs?service=git-upload-pack`, count, seconds, marker)

function report(title, answers, leases) {
  const { started, most } = uploadPacks()
  const times = answers.map(({ start, end }) => end - start)
  const columns = [title, leases, answers.length, answers.filter(isStale).length, started, most]
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
    const version = writes.length
    const write = { start: now(), end: Infinity }
    writes.push(write)
    const { id } = await api('POST', '/v1/leases', { repository: 'r.git', ttlSeconds: 10 })
    await run('git', ['-C', repository, 'update-ref', marker, value(version)])
    await api('DELETE', `/v1/leases/${id}`, { changed: true })
    write.end = now()
  }
}
const [answers] = await Promise.all([read(readers), mutate()])
report(`${readers} readers, ${leasesPerSecond} leases a second, for ${seconds} s`, answers, writes.length - 1)

const { id } = await api('POST', '/v1/leases', {
  repository: 'r.git',
  ttlSeconds: 600,
  reason: 'a long push',
})
const during = await read(pushReaders)
await api('DELETE', `/v1/leases/${id}`, {})
report(`${pushReaders} readers, one lease open for ${seconds} s`, during, 1)
console.log('\nHad every reader passed the cache by while a lease was open: as many processes as answers.')
await server.stop()
