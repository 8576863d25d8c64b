// How growth measures: a refstream of its own for each size, its CPU per request, its memory, and what it asks of the kernel.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { contenders, start } from '../compare/contenders.mjs'
import { cost } from '../compare/measure.mjs'
import { faults, judge } from '../compare/requests.mjs'
import { load } from '../compare/tools.mjs'

/** Runs `visit(server)` on a new refstream, and stops it whatever happens. */
export async function onRefstream(visit, options = {}) {
  const server = await start(
    contenders().find(({ name }) => name === 'refstream'),
    options,
  )
  try {
    return await visit(server)
  } finally {
    await server.stop()
  }
}

/** CPU ms per request, latency and bytes of clients that ask again as soon as they have an answer. */
export async function closedLoop(server, { requests, clients, seconds, expected }) {
  const options = { port: server.port, requests, clients, timeout: 120 }
  await load('closed', { ...options, seconds: seconds / 4 })
  const { result, ...costs } = await cost(server, () => load('closed', { ...options, seconds }))
  return {
    requests: result.requests,
    cpuMs: (costs.cpuSeconds * 1000) / result.requests,
    bothMs: (costs.bothSeconds * 1000) / result.requests,
    cpuMsPerMegabyte: (costs.cpuSeconds * 1000) / (result.bytes / 1e6),
    perSecond: result.requests / result.seconds,
    ...{ p50: result.last.p50, p99: result.last.p99 },
    hitRatio: 1 - costs.uploadPacks / result.requests,
    faults: faults(judge(result.answers, expected)),
  }
}

/** How often a server has said that it listens, and where its admin listener is now; from its log. */
export function listenings(server) {
  const found = [...readFileSync(join(server.place, 'log'), 'utf8').matchAll(/"admin":"([^"]+)"/g)]
  return { count: found.length, admin: found.at(-1)?.[1] }
}

/** Megabytes: resident now, and at most since `forgetPeak`; proc_pid_status(5). */
export function memory(server) {
  const status = readFileSync(`/proc/${server.leader()}/status`, 'utf8')
  const field = (name) => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024) / 1e6
  return { resident: field('VmRSS'), peak: field('VmHWM') }
}

/** proc_pid_clear_refs(5): 5 sets the peak to what is resident now. */
export function forgetPeak(server) {
  try {
    writeFileSync(`/proc/${server.leader()}/clear_refs`, '5')
  } catch {
    // Not permitted: the peak is that since the start.
  }
}

const looks = ['statx', 'stat', 'newfstatat', 'lstat', 'fstat', 'statfs', 'fstatfs', 'access', 'faccessat2']
const hasStrace = spawnSync('strace', ['-V']).status === 0

/**
 * System calls per request with which a server looks at the disk: stats, and all that open files or read directories. Counted
 * by strace(1) while one client asks one thing after another. NaN where there is no strace.
 */
export async function looksPerRequest(server, requests, count) {
  if (!hasStrace) return { stats: NaN, opens: NaN }
  const output = join(server.place, 'strace')
  const names = [...looks, 'openat', 'getdents64']
  const filter = `trace=${names.map((name) => `?${name}`).join()}`
  const child = spawn(
    'strace',
    ['-f', '-c', '-U', 'name,calls', '-o', output, '-e', filter, '-p', String(server.leader())],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  const [attached] = await Promise.race([once(child.stderr, 'data'), once(child, 'exit').then(() => [''])])
  if (!String(attached).includes('attached')) return { stats: NaN, opens: NaN }
  // Other threads are attached after the first one.
  await sleep(200)
  const { requests: answered } = await load('list', {
    port: server.port,
    requests,
    sessions: count,
    group: 1,
    timeout: 120,
  })
  child.kill('SIGINT')
  await once(child, 'exit')
  const calls = new Map(
    readFileSync(output, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([name, calls]) => names.includes(name) && /^\d+$/.test(calls)),
  )
  const sum = (list) => list.reduce((total, name) => total + Number(calls.get(name) ?? 0), 0) / answered
  return { stats: sum(looks), opens: sum(['openat', 'getdents64']) }
}
