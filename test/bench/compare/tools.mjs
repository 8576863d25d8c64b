// The programs in C, compiled for this run: the load generator, and the Git that counts its processes.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { directory } from '../rig.mjs'
import { network } from './network.mjs'

const source = (name) => fileURLToPath(new URL(name, import.meta.url))
const compile = (name, output, ...flags) =>
  execFileSync('cc', ['-O2', ...flags, '-o', output, source(name), '-lm'])

const generator = join(directory, 'load')
compile('../load/load.c', generator)

const calls = join(directory, 'git-calls')
const execPath = join(directory, 'git-exec')
const realExecPath = execFileSync('git', ['--exec-path']).toString().trim()
writeFileSync(calls, '')
mkdirSync(execPath)
for (const name of readdirSync(realExecPath)) {
  if (name !== 'git') symlinkSync(join(realExecPath, name), join(execPath, name))
}
compile(
  'counting-git.c',
  join(execPath, 'git'),
  ...Object.entries({ CALLS: calls, GIT: `${realExecPath}/`, EXEC_PATH: execPath }).map(
    ([name, value]) => `-D${name}="${value}"`,
  ),
)
const scripts = join(directory, 'git-scripts')
mkdirSync(scripts)
symlinkSync(join(execPath, 'git'), join(scripts, 'git-http-backend'))

/** Git that counts its processes, as a command and as a CGI script. */
export const countingGit = join(execPath, 'git')
export const countingHttpBackend = join(scripts, 'git-http-backend')

/** Git processes that have been started since some moment: `const since = countProcesses(); …; since()`. */
export function countProcesses() {
  const before = readFileSync(calls).length
  return () => {
    const letters = readFileSync(calls, 'latin1').slice(before)
    const count = (letter) => letters.split(letter).length - 1
    return { all: letters.length, uploadPack: count('u'), packObjects: count('p') }
  }
}

/** The length and hash that the generator would give for these bytes. */
export const hashOf = (bytes) => JSON.parse(execFileSync(generator, ['hash'], { input: bytes }).toString())

/**
 * Starts the generator (see load.c for modes and options). `asked` is when all of a burst have asked; `result` is its
 * figures, with `records` per request if asked for; `stop()` ends slow and idle clients; `seconds()` is its CPU time up to now.
 */
export function startLoad(mode, options) {
  const { address, from, onClient } = network()
  const args = Object.entries({ host: address, from, ...options }).map(([name, value]) => `${name}=${value}`)
  const [program, ...words] = [...onClient, generator, mode, ...args]
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.on('error', () => {})
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  let asked
  const started = new Promise((resolve) => (asked = resolve))
  const read = async () => {
    const records = []
    for await (const line of createInterface(child.stdout)) {
      if (line === 'asked') asked()
      else records.push(JSON.parse(line))
    }
    asked()
    const figures = records.pop()
    if (!figures) throw new Error('the load generator failed')
    if (child.exitCode === null) await once(child, 'exit')
    return { ...figures, busy: figures.cpuSeconds / figures.seconds, records }
  }
  // proc_pid_schedstat: nanoseconds, of its one thread.
  const seconds = () => Number(readFileSync(`/proc/${child.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9
  return { asked: started, result: read(), stop: () => child.stdin.end(), seconds }
}

export const load = (mode, options) => startLoad(mode, options).result
