import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { installHook } from '../../src/git/hook/hook.js'
import { findProgram } from '../../src/git/process/installation.js'
import { gitEnvironment } from './repositories.js'
import { tempDir } from './temp-dir.js'

export interface Ran {
  readonly status: number | null
  readonly output: string
}

export interface RunOptions {
  readonly cwd: string
  readonly input?: string
  readonly environment?: NodeJS.ProcessEnv
}

/** Runs a program without blocking this process, in which the fake sidecar answers. */
export async function run(options: RunOptions, program: string, ...args: string[]): Promise<Ran> {
  const { cwd, input = '', environment } = options
  const child = spawn(program, args, { cwd, env: { ...gitEnvironment, ...environment } })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve).once('error', reject)
  })
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { status, output: `${stdout}${stderr}`.trim() }
}

/** Runs git and returns its output. @throws if it fails */
export async function gitIn(options: string | RunOptions, ...args: string[]): Promise<string> {
  const { status, output } = await run(
    typeof options === 'string' ? { cwd: options } : options,
    'git',
    ...args,
  )
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${output}`)
  return output
}

export const hookOf = (repository: string): string => join(repository, 'hooks/reference-transaction')

/** Installs the hook with a time limit that a busy machine does not reach. */
export async function installPatientHook(repository: string, admin: string): Promise<void> {
  await installHook(repository, admin)
  const path = hookOf(repository)
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll('0.25', '30'))
}

/** Returns the lines of the hook's notes. */
export function notes(repository: string): string[] {
  const directory = join(repository, 'refstream')
  if (!existsSync(directory)) return []
  const files = readdirSync(directory).filter((name) => name !== 'slow')
  return files.flatMap((name) => readFileSync(join(directory, name), 'utf8').trimEnd().split('\n'))
}

/** Returns a PATH with what every host has, and these programs. */
export function pathWith(t: Test, ...programs: string[]): string {
  const directory = join(tempDir(t), 'bin')
  mkdirSync(directory)
  for (const name of ['sh', 'git', 'rm', 'mkdir', 'date', 'find', 'cat', 'env', ...programs]) {
    symlinkSync(findProgram(name, process.env['PATH'])!, join(directory, name))
  }
  return directory
}
