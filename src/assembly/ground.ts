import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import { Git, type GitOptions } from '../git/git.js'
import { findProgram } from '../git/installation.js'
import { RepositoriesRoot } from '../git/repositories-root.js'

/** What everything else stands on: the repositories, and the Git that serves them. */
export interface Ground {
  readonly root: RepositoriesRoot
  readonly git: Git
}

/** @throws ConfigError if the root or the Git program cannot be used */
export function findGround(
  settings: Pick<Settings, 'root' | 'git'>,
  environment: NodeJS.ProcessEnv,
  options: Omit<GitOptions, 'path' | 'environment'> = {},
): Ground {
  const root = new RepositoriesRoot(resolve(settings.root))
  if (root.real() === undefined) throw new ConfigError(`--root: ${whyNot(settings.root)}`)
  const path = findProgram(settings.git, environment['PATH'])
  if (path === undefined) {
    throw new ConfigError(`--git: there is no program ${settings.git}; give the path of Git's binary`)
  }
  return { root, git: new Git({ path, environment, ...options }) }
}

function whyNot(root: string): string {
  const given = JSON.stringify(root)
  try {
    if (!statSync(root, { throwIfNoEntry: false })?.isDirectory()) {
      return `${given} is not a directory; give one that holds repositories`
    }
    return `cannot use ${given}: it may not be entered`
  } catch (error) {
    return `cannot use ${given}: ${(error as Error).message}`
  }
}
