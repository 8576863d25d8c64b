import { createHash } from 'node:crypto'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import type { ConfigScopes } from '../state/config-files.js'
import type { ConfigVariable } from '../state/config-parser.js'
import type { Git } from './git.js'
import { placeOf, type Place } from '../filesystem/open-directory.js'
import type { PathGuard } from '../filesystem/path-guard.js'

/** The Git on this machine, and what of it decides the bytes that it writes. */
export interface Installation {
  readonly version: string
  /** Is it at least `oldestGit`? */
  readonly supported: boolean
  /** Its files; see `ObservationSettings`. */
  readonly programs: readonly Place[]
  readonly scopes: ConfigScopes
  readonly environmentDigest: string
}

/** The oldest Git that refstream is tested with. */
export const oldestGit = '2.39'

/**
 * Returns the path of a program, looked up in PATH if it is a mere name.
 * undefined: there is no such program, or it may not be run
 * @throws RemotePath
 */
export function findProgram(name: string, path: string | undefined, guard?: PathGuard): string | undefined {
  const candidates = name.includes('/')
    ? [resolve(name)]
    : (path ?? '').split(delimiter).map((directory) => join(directory || '.', name))
  return candidates.find((candidate) => {
    guard?.check(resolve(candidate))
    try {
      accessSync(candidate, constants.X_OK)
      // A directory has the same permission bit.
      return statSync(candidate).isFile()
    } catch {
      return false
    }
  })
}

/** Time limit in milliseconds for each Git command. */
const answerWithinMs = 5000

/** Asks Git about itself; where it does not answer, the default of most builds of Git is used. */
export async function inspectInstallation(git: Git): Promise<Installation> {
  const { environment } = git
  const [versionLine, execPath, systemFile] = await Promise.all([
    ask(git, ['--version'], environment),
    ask(git, ['--exec-path'], environment),
    // The editor gets the path of the file, whether it exists or not; `git var` prints it since 2.42 only.
    ask(git, ['config', '--system', '--edit'], { ...environment, GIT_EDITOR: 'echo' }),
  ])
  // Some builds add words: `git version 2.39.5 (Apple Git-154)`.
  const [, version = 'unknown', major, minor] = /^git version ((\d+)\.(\d+)\S*)/.exec(versionLine ?? '') ?? []
  return {
    version,
    supported: isSupported(Number(major), Number(minor)),
    programs: [git.path, ...(execPath ? [join(execPath, 'git')] : [])].map(placeOf),
    scopes: {
      files: [systemFile ?? '/etc/gitconfig', ...userFiles(environment)],
      home: environment['HOME'],
      variables: environmentVariables(environment),
    },
    environmentDigest: digest(git.path, environment),
  }
}

function isSupported(major: number, minor: number): boolean {
  const [oldMajor, oldMinor] = oldestGit.split('.').map(Number) as [number, number]
  return major > oldMajor || (major === oldMajor && minor >= oldMinor)
}

async function ask(
  git: Git,
  args: [string, ...string[]],
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const answer = await git
    .output(args, { environment, signal: AbortSignal.timeout(answerWithinMs) })
    .catch(() => undefined)
  return answer?.trim() || undefined
}

/** The user's configuration files (git-config(1), "FILES" and GIT_CONFIG_GLOBAL). */
function userFiles(environment: NodeJS.ProcessEnv): string[] {
  const { GIT_CONFIG_GLOBAL, HOME, XDG_CONFIG_HOME } = environment
  if (GIT_CONFIG_GLOBAL) return [GIT_CONFIG_GLOBAL]
  const xdg = XDG_CONFIG_HOME || (HOME && join(HOME, '.config'))
  return [...(xdg ? [join(xdg, 'git/config')] : []), ...(HOME ? [join(HOME, '.gitconfig')] : [])]
}

/** Configuration in the environment (git-config(1), GIT_CONFIG_COUNT). */
function environmentVariables(environment: NodeJS.ProcessEnv): ConfigVariable[] {
  const count = Number(environment['GIT_CONFIG_COUNT'] ?? 0)
  return Array.from({ length: count }, (_, index) => {
    const key = environment[`GIT_CONFIG_KEY_${index}`] ?? ''
    const name = `${key.split('.', 1)[0]}.${key.slice(key.lastIndexOf('.') + 1)}`.toLowerCase()
    return { name, value: environment[`GIT_CONFIG_VALUE_${index}`] }
  })
}

function digest(path: string, environment: NodeJS.ProcessEnv): string {
  const relevant = Object.entries(environment)
    .filter(([name]) => name.startsWith('GIT_') || name === 'HOME' || name === 'XDG_CONFIG_HOME')
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha1')
    .update(JSON.stringify([path, relevant]))
    .digest('base64url')
}
