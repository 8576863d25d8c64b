import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { tempDir } from './temp-dir.js'

const built = (name: string): string => fileURLToPath(new URL(`../../dist/cli/${name}`, import.meta.url))

/** The program of the same modules, each in a file of its own. */
export const unbundled = built('main.js')

/** The program that users run, as it was built; while coverage is measured, that whose files are known by their sources. */
export const program = process.env['NODE_V8_COVERAGE'] === undefined ? built('refstream.cjs') : unbundled

export interface SidecarOptions {
  readonly cacheDir?: string
  /** Leaves out --cache-dir. */
  readonly defaultCacheDir?: boolean
  /** Runs it as this user and group. */
  readonly user?: number
  readonly args?: readonly string[]
  readonly environment?: NodeJS.ProcessEnv
  /** Left out: that which users run. */
  readonly program?: string
}

/** A sidecar in a process of its own. */
export interface SpawnedSidecar {
  readonly pid: number
  readonly url: string
  readonly adminUrl: string
  /** Empty without --grpc. */
  readonly grpcTarget: string
  readonly cacheDir: string
  /** Its log, parsed. */
  readonly log: Record<string, unknown>[]
  /** Sends a signal and resolves when it has ended, with the exit code or the signal that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | string>
  /** Resolves with the value of a metric, summed over all series with these labels. */
  readonly metric: (name: string, labels?: Record<string, string>) => Promise<number>
}

/** The environment of programs under test: without the test runner's variables and any user's configuration. */
export const cleanEnvironment: NodeJS.ProcessEnv = {
  PATH: process.env['PATH'],
  GIT_CONFIG_NOSYSTEM: '1',
  LC_ALL: 'C',
}

/** Starts `refstream serve` on free ports and resolves when it listens. Ended with the test. */
export async function startSidecar(
  t: Test,
  /** undefined: without repositories of its own. */
  root: string | undefined,
  options: SidecarOptions = {},
): Promise<SpawnedSidecar> {
  const cacheDir = options.cacheDir ?? join(tempDir(t), 'cache')
  const listen = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']
  const served = root === undefined ? [] : ['--root', root]
  const cache = options.defaultCacheDir ? [] : ['--cache-dir', cacheDir]
  const child = spawn(
    process.execPath,
    [options.program ?? program, 'serve', ...served, ...listen, ...cache, ...(options.args ?? [])],
    {
      env: { ...cleanEnvironment, ...options.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(options.user === undefined ? {} : { uid: options.user, gid: options.user }),
    },
  )
  const ended = once(child, 'close') as Promise<[number | null, string]>
  t.teardown(async () => {
    if (process.env['NODE_V8_COVERAGE'] === undefined) return void child.kill('SIGKILL')
    // Only a process that exits writes what it has run; the second SIGTERM makes it exit at once.
    child.kill('SIGTERM')
    await Promise.race([ended, sleep(100)])
    child.kill('SIGTERM')
    await ended
  })
  const log: Record<string, unknown>[] = []
  const listening = new Promise<Record<string, unknown>>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>
      log.push(entry)
      if (entry['msg'] === 'listening') resolve(entry)
    })
    void ended.then(([code]) => reject(new Error(`the sidecar ended before it listened: ${code}`)))
  })
  const { url, admin, grpc = '' } = await listening
  const metric: SpawnedSidecar['metric'] = async (name, labels = {}) => {
    const text = await (await fetch(`${admin as string}/metrics`)).text()
    return sumMetric(text, name, labels)
  }
  const stop: SpawnedSidecar['stop'] = async (signal = 'SIGTERM') => {
    child.kill(signal)
    const [code, killedBy] = await ended
    return code ?? killedBy
  }
  const { pid = 0 } = child
  const where = { url: url as string, adminUrl: admin as string, grpcTarget: grpc as string }
  return { pid, ...where, cacheDir, log, stop, metric }
}

function sumMetric(text: string, name: string, labels: Record<string, string>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  let sum = 0
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name} `) && !line.startsWith(`${name}{`)) continue
    if (wanted.every((label) => line.includes(label))) sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return sum
}
