// How a scenario measures: contenders in turn, what the work costs each, medians over rounds.
import { median } from '../rig.mjs'
import { start } from './contenders.mjs'
import { replayFile, uniqueFetches } from './pack-requests.mjs'
import { requestFile } from './requests.mjs'
import { countProcesses, load } from './tools.mjs'

/** What went wrong with a contender, in words: the others go on. */
export const failures = []

/** Runs `visit(server, contender)` on a new server of each contender in turn, and stops it whatever happens. */
export async function eachInTurn(contenders, visit) {
  for (const contender of contenders) {
    let server
    try {
      server = await start(contender)
      await visit(server, contender)
    } catch (error) {
      console.error(error)
      failures.push(`${contender.name}: ${error.message}`)
    }
    await server?.stop()
  }
}

/**
 * The contenders of each round. Plain Git takes part in the first one only: it is slow, and what its processes cost is not
 * what a comparison turns on.
 */
export const inRounds = (contenders, rounds) =>
  Array.from({ length: rounds }, (_, round) =>
    round === 0 ? contenders : contenders.filter(({ isPlainGit }) => !isPlainGit),
  )

/** One whole answer, so that what can be cached is. */
export const warm = (server, requests) =>
  load('burst', { port: server.port, requests, clients: 1, timeout: 120 })

/**
 * Lets a server's code be loaded and warm before its cache is tried: it answers each kind of request for another, small
 * repository for a while. A server runs for weeks; what its compiler does in its first seconds is not what it costs.
 */
export async function wake(server, small, quick) {
  for (const kind of ['advertisement', 'capabilities', 'ls-refs']) {
    const requests = requestFile(small, kind)
    await load('closed', { port: server.port, requests, clients: 4, seconds: quick ? 0.3 : 1 })
  }
}

/** The same before packs are asked for: fetches that differ, and then one again and again. */
export async function wakeForPacks(server, small, quick) {
  await wake(server, small, quick)
  const { port } = server
  const fetches = uniqueFetches(small.commits, quick ? 40 : 200)
  const requests = replayFile(fetches, small, () => true)
  await load('list', { port, requests, group: 1, sessions: fetches.length, clients: 4 })
  const again = replayFile(fetches.slice(0, 1), small)
  await load('closed', { port, requests: again, clients: 4, seconds: quick ? 0.2 : 1 })
}

/**
 * What some work costs: CPU seconds of the server and all that it started, those of the clients too if the work resolves
 * with their `cpuSeconds`, what the server wrote to disk, and Git processes. What sendfile(2) sends over loopback is copied
 * when the receiver takes it, in the receiver's time, so only both together say what large answers cost.
 */
export async function cost(server, work) {
  const [cpu, written, since] = [server.cpuSeconds(), server.writtenBytes(), countProcesses()]
  const started = performance.now()
  const result = await work()
  const seconds = (performance.now() - started) / 1000
  const { all, uploadPack, packObjects } = since()
  const [cpuSeconds, generatorSeconds] = [server.cpuSeconds() - cpu, result?.cpuSeconds ?? 0]
  return {
    ...{ result, seconds, cpuSeconds, generatorSeconds, bothSeconds: cpuSeconds + generatorSeconds },
    ...{ processes: all, uploadPacks: uploadPack, packObjects },
    writtenMegabytes: (server.writtenBytes() - written) / 1e6,
  }
}

/** The median of each number over rounds; other values are those of the first round, faults those of all. */
export function medians(rows) {
  const over = (key) =>
    typeof rows[0][key] === 'number' ? median(rows.map((row) => row[key])) : rows[0][key]
  const faults = [...new Set(rows.map((row) => row.faults).filter(Boolean))].join('; ')
  return { ...Object.fromEntries(Object.keys(rows[0]).map((key) => [key, over(key)])), faults }
}

/** Rows that belong together (the same `keys`), as their medians, in the order of first appearance. */
export function summarize(rows, keys) {
  const groups = new Map()
  for (const row of rows) {
    const name = keys.map((key) => row[key]).join()
    groups.set(name, [...(groups.get(name) ?? []), row])
  }
  return [...groups.values()].map(medians)
}
