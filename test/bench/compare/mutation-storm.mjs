// A mutation storm: a ref changes five times a second while clients read in a closed loop. The writer then notifies the
// cache in that cache's own way, and a change counts as finished only when that is done.
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { hrtime } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cost, eachInTurn, inRounds, summarize, wake, warm } from './measure.mjs'
import { marker } from './repositories.mjs'
import { files, requestFile, truth } from './requests.mjs'
import { hashOf, load } from './tools.mjs'

export const title = 'Mutation storm'
const git = promisify(execFile)
const now = () => Number(hrtime.bigint()) / 1e6

/** Hash of the whole answer → which version of the marker it shows. */
function versionsByHash(repository, count) {
  truth(repository, 'advertisement')
  const body = readFileSync(join(files, repository.name, 'info/refs'))
  const at = body.indexOf(` ${marker}\n`) - 40
  const hashes = Array.from({ length: count }, (_, version) => {
    body.write(repository.commits[version], at, 'latin1')
    return [hashOf(body).hash, version]
  })
  return new Map(hashes)
}

/** Changes the marker until the deadline; returns when the writing of each version began, and when it was announced. */
async function change(repository, server, seconds, perSecond) {
  const writes = [{ start: -Infinity, end: -Infinity }]
  const begun = now()
  for (let turn = 1; turn <= seconds * perSecond; turn++) {
    await sleep(Math.max(0, begun + (turn * 1000) / perSecond - now()))
    if (now() > begun + seconds * 1000 + 100) break
    const write = { start: now(), end: Infinity }
    writes.push(write)
    await git('git', ['-C', repository.path, 'update-ref', marker, repository.commits[turn]])
    await server.invalidate(repository)
    write.end = now()
  }
  return writes
}

/** Where we may, some work goes before servers and readers: all contenders are to see as many changes. */
async function first(work) {
  const prioritize = (priority) => {
    try {
      setPriority(priority)
    } catch {
      // Not permitted; the number of updates in the report shows whether that matters.
    }
  }
  prioritize(constants.priority.PRIORITY_HIGHEST)
  try {
    return await work()
  } finally {
    prioritize(constants.priority.PRIORITY_NORMAL)
  }
}

function judge(records, versions, writes) {
  const counts = { fresh: 0, stale: 0, wrong: 0, oldestMs: 0 }
  for (const { result, status, hash, due, last } of records) {
    const version = result === 'ok' && status === 200 ? versions.get(hash) : undefined
    if (version === undefined || !(writes[version]?.start < last)) {
      counts.wrong++
      continue
    }
    // Another version was in place, and announced, before the request.
    const replaced = writes[version + 1]?.end ?? Infinity
    counts[replaced < due ? 'stale' : 'fresh']++
    if (replaced < due) counts.oldestMs = Math.max(counts.oldestMs, due - replaced)
  }
  return counts
}

export async function run({ contenders, repositories, quick }) {
  const rows = await storm({ contenders, repositories, quick }, repositories.large)
  return { rows: summarize(rows, ['server']), rounds: rows }
}

/** A row for each round of each contender, with the pushes to one repository; what is `chosen` replaces the usual size. */
export async function storm({ contenders, repositories, quick, short }, repository, chosen = {}) {
  const size = quick
    ? { clients: 50, seconds: 3, rounds: 1 }
    : { clients: 100, seconds: 20, rounds: short ? 1 : 2 }
  const { clients, seconds, rounds, perSecond } = { ...size, perSecond: 5, ...chosen }
  const versions = versionsByHash(repository, seconds * perSecond + 1)
  const requests = requestFile(repository, 'advertisement')
  const rows = []
  for (const round of inRounds(contenders, rounds)) {
    await eachInTurn(round, async (server, contender) => {
      execFileSync('git', ['-C', repository.path, 'update-ref', marker, repository.commits[0]])
      await wake(server, repositories.small, quick)
      await warm(server, requests)
      const options = { port: server.port, requests, clients, seconds, timeout: 120, records: 1 }
      const { result, ...costs } = await cost(server, async () => {
        // The generator is started first: it is not to inherit our priority.
        const reading = load('closed', options)
        const writes = await first(() => change(repository, server, seconds, perSecond))
        return { ...(await reading), writes }
      })
      const { oldestMs, ...counts } = judge(result.records, versions, result.writes)
      rows.push({
        ...{ server: server.name, tells: contender.invalidation ?? 'nothing to tell', clients, ...costs },
        refs: repository.refs,
        ...{ updates: result.writes.length - 1, reads: result.requests, ...counts, oldestStaleMs: oldestMs },
        readsPerSecond: result.requests / result.seconds,
        cpuPerThousand: costs.cpuSeconds / (result.requests / 1000),
        bothPerThousand: costs.bothSeconds / (result.requests / 1000),
        ...{ p50: result.last.p50, p99: result.last.p99, generatorBusy: result.busy },
        faults: counts.wrong > 0 ? `${counts.wrong} wrong` : '',
      })
    })
  }
  execFileSync('git', ['-C', repository.path, 'update-ref', marker, repository.commits[0]])
  return rows
}
