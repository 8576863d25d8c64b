// What the benchmarks share: repositories, the contenders as processes of their own, and how to read what they cost.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { figuresJson } from './figures.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

export const directory = mkdtempSync(join(tmpdir(), 'refstream-bench-'))
process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
export const root = join(directory, 'root')
mkdirSync(root)

/** A repository of that many packed branches. */
export function makeRepository(name, refs) {
  const repository = join(root, name)
  const git = (...args) => execFileSync('git', args, { cwd: repository, input: '' }).toString().trim()
  execFileSync('git', ['init', '--quiet', '--bare', repository])
  const tree = git('hash-object', '-t', 'tree', '-w', '--stdin')
  const commit = git('-c', 'user.name=b', '-c', 'user.email=b@example.com', 'commit-tree', tree, '-m', 'one')
  const lines = Array.from({ length: refs }, (_, index) => {
    return `${commit} refs/heads/branch-number-${String(index).padStart(7, '0')}\n`
  })
  writeFileSync(
    join(repository, 'packed-refs'),
    `# pack-refs with: peeled fully-peeled sorted \n${lines.join('')}`,
  )
}

const calls = join(directory, 'calls')
const wrapper = join(directory, 'git')
writeFileSync(wrapper, `#!/bin/sh\necho "$1" >> '${calls}'\nexec git "$@"\n`)
chmodSync(wrapper, 0o755)
writeFileSync(calls, '')

/** How many Git processes the servers have started for requests since this was last called. */
export function processesStarted() {
  const commands = readFileSync(calls, 'utf8').split('\n')
  writeFileSync(calls, '')
  return commands.filter((command) => command === 'upload-pack' || command === 'http-backend').length
}

/** Name → start(); each start gives a new, cold server in a process of its own. */
export const contenders = {
  refstream: () => startRefstream('--git', wrapper),
  'git http-backend': () => startPlainServer(wrapper),
}

export const startPlainServer = (git, place) =>
  start([here('plain-server.mjs'), root, git, place?.address ?? '127.0.0.1'], (url) => ({ url }), place)

/** A server of this directory, which prints its URL. */
export const startScript = (script, ...args) => start([here(script), ...args], (url) => ({ url }))

/** A Git that writes down when each process starts and ends, so that one can count how many ran at once. */
export function recordingGit() {
  const record = join(directory, 'record')
  const path = join(directory, 'recording-git')
  const line = (sign) =>
    `read -r now _ < /proc/uptime; echo "${sign} $now $1 $GIT_PROTOCOL $PWD" >> '${record}'`
  // Its process group is ended as a whole; the shell survives that to record the end.
  writeFileSync(path, `#!/bin/sh\ntrap : TERM\n${line('+')}\ngit "$@"\ncode=$?\n${line('-')}\nexit $code\n`)
  chmodSync(path, 0o755)
  writeFileSync(record, '')
  return {
    path,
    read: () => readRecord(readFileSync(record, 'utf8')),
    clear: () => writeFileSync(record, ''),
  }
}

/** Counts the commands of a record that answer requests; `most` and `mostPerKey` ran at once. */
function readRecord(text) {
  let [started, most, mostPerKey] = [0, 0, 0]
  const running = new Map()
  const overTime = []
  let all = 0
  for (const line of text.split('\n')) {
    const [, sign, seconds, key] = /^([+-]) (\S+) ((?:upload-pack|http-backend) .*)$/.exec(line) ?? []
    if (!sign) continue
    const change = sign === '+' ? 1 : -1
    all += change
    running.set(key, (running.get(key) ?? 0) + change)
    if (change === 1) started++
    most = Math.max(most, all)
    mostPerKey = Math.max(mostPerKey, running.get(key))
    overTime.push({ seconds: Number(seconds), running: all })
  }
  return { started, most, mostPerKey, overTime }
}

/** A refstream over the root, with these flags on top. */
export const startRefstream = (...flags) => startServe(['--root', root, '--export-all', ...flags])

/** A refstream in front of another server. @param place the network namespace in which it runs, if it is another one */
export const startUpstream = (url, flags = [], place = undefined) =>
  startServe(['--upstream', url, ...flags], place)

const startServe = (flags, place) =>
  start(
    [here('../../dist/cli/refstream.cjs'), 'serve', ...flags].concat(
      ['--listen', `${place?.address ?? '127.0.0.1'}:0`, '--admin', '127.0.0.1:0'],
      ['--cache-dir', mkdtempSync(join(directory, 'cache-'))],
    ),
    (line) => {
      const { url, admin, grpc } = JSON.parse(line)
      return url && { url, adminUrl: admin, grpc }
    },
    place,
  )

/** The value of a counter of a refstream, summed over all labels. */
export async function metric({ adminUrl }, name) {
  const text = await (await fetch(`${adminUrl}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

async function start(args, whereIn, place) {
  const inside = place?.namespace ? ['ip', 'netns', 'exec', place.namespace] : []
  const [program, ...words] = [...inside, process.execPath, ...args]
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  // A benchmark that fails leaves no process behind.
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  for await (const line of createInterface(child.stdout)) {
    const where = whereIn(line)
    if (!where) continue
    child.stdout.resume()
    const { pid } = child
    return { ...where, pid, cpuSeconds: () => cpuSeconds(pid), stop: () => stop(child) }
  }
  throw new Error('the server did not start')
}

async function stop(child) {
  child.kill('SIGTERM')
  await once(child, 'exit')
}

/** Resident memory of a process in bytes, proc_pid_status(5). */
export const rssBytes = (pid) =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024

/** The processes that a process has started and that are there now; proc_pid_task(5), for its main thread and all others. */
export function childPids(pid) {
  const threads = readdirSync(`/proc/${pid}/task`)
  const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8'))
  return lists.join(' ').split(' ').filter(Boolean).map(Number)
}

/** How many these are. */
export const children = (pid) => childPids(pid).length

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']))

/** CPU time of a process and of its children that have ended, proc_pid_stat(5). */
export function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [utime, stime, cutime, cstime] = stat
    .slice(stat.lastIndexOf(')'))
    .split(' ')
    .slice(12, 16)
    .map(Number)
  return (utime + stime + cutime + cstime) / ticksPerSecond
}

/** Runs a program of this directory and parses the JSON that it prints. */
export async function runJson(script, ...args) {
  const child = spawn(process.execPath, [here(script), ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output = []
  for await (const chunk of child.stdout) output.push(chunk)
  return JSON.parse(Buffer.concat(output).toString())
}

export const quantile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)]
export const median = (values) => quantile(values, 0.5)

/** Lines of a Markdown table; numbers get as many digits as are useful. */
export function table(columns, rows) {
  const cell = (value) => {
    if (typeof value !== 'number') return value ?? '–'
    if (!Number.isFinite(value)) return '–'
    return Number.isInteger(value) || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(1)
  }
  const line = (cells) => `| ${cells.map(cell).join(' | ')} |`
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)]
}

/** Writes a run's report, raw figures and picture to results/, under this name. */
export function save(name, report, figures, picture) {
  const results = here('results/')
  mkdirSync(results, { recursive: true })
  writeFileSync(`${results}${name}.md`, `${report}\n`)
  writeFileSync(`${results}${name}.json`, figuresJson(figures))
  writeFileSync(`${results}${name}.svg`, picture)
}
