// What the benchmarks share: repositories, the contenders as processes of their own, and how to read what they cost.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

export const directory = mkdtempSync(join(tmpdir(), 'refstream-bench-'))
process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
export const root = join(directory, 'root')

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
  'git http-backend': () => start([here('plain-server.mjs'), root, wrapper], (url) => ({ url })),
}

/** A refstream over the root, with these flags on top. */
export const startRefstream = (...flags) =>
  start(
    [here('../../dist/cli/main.js'), 'serve', '--root', root, '--export-all', ...flags].concat(
      ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
      ['--cache-dir', mkdtempSync(join(directory, 'cache-'))],
    ),
    (line) => {
      const { url, admin } = JSON.parse(line)
      return url && { url, adminUrl: admin }
    },
  )

async function start(args, whereIn) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface(child.stdout)) {
    const where = whereIn(line)
    if (!where) continue
    child.stdout.resume()
    return { ...where, cpuSeconds: () => cpuSeconds(child.pid), stop: () => stop(child) }
  }
  throw new Error('the server did not start')
}

async function stop(child) {
  child.kill('SIGTERM')
  await once(child, 'exit')
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']))

/** CPU time of a process and of its children that have ended, proc_pid_stat(5). */
function cpuSeconds(pid) {
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
