import { readFileSync, type BigIntStats } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseConfig, type ConfigVariable } from './config-parser.js'
import type { Look } from './look.js'
import type { Repository } from './repository.js'

/** Where Git looks for configuration beside the repository's own. */
export interface ConfigScopes {
  /** The system's file and the user's, whether they exist or not. */
  readonly files: readonly string[]
  /** For paths that begin with `~/`. */
  readonly home: string | undefined
  /** Variables that the environment adds (GIT_CONFIG_COUNT). */
  readonly variables: readonly ConfigVariable[]
}

/** What the configuration files tell without asking Git. */
export interface ConfigSight {
  /**
   * Variables that some file mentions, in lower case, without subsections; whether they apply, and what they are, only
   * Git knows. undefined: some file cannot be parsed, so that any may be meant.
   */
  readonly mentioned: ReadonlySet<string> | undefined
  /** Is there an include whose path cannot be followed? Then a change may go unseen. */
  readonly hidden: boolean
}

/** Includes nested deeper than this are an error for Git (config.c, MAX_INCLUDE_DEPTH). */
const includeDepthMax = 10

/**
 * Looks at every configuration file that may decide what Git says of a repository, and at what these include;
 * conditional includes are looked at whether their condition holds or not (git-config(1), "Conditional includes").
 */
export function lookAtConfig(look: Look, repository: Repository, scopes: ConfigScopes): ConfigSight {
  const mentioned = new Set<string>()
  const seen = new Set<string>()
  const unclear = { syntax: false, include: false }

  const take = (variables: readonly ConfigVariable[], directory: string | undefined, depth: number): void => {
    for (const { name, value } of variables) {
      mentioned.add(name)
      if ((name !== 'include.path' && name !== 'includeif.path') || !value) continue
      const path = includePath(value, directory, scopes.home)
      if (path === undefined) unclear.include = true
      else if (depth < includeDepthMax) visit(path, depth + 1)
    }
  }
  const visit = (path: string, depth: number): void => {
    if (seen.has(path)) return
    seen.add(path)
    const stats = look.stat(path)
    if (!stats?.isFile()) return
    const variables = readVariables(look, path, stats)
    if (variables) take(variables, dirname(path), depth)
    else unclear.syntax = true
  }

  const own = [join(repository.commonDir, 'config'), join(repository.gitDir, 'config.worktree')]
  for (const path of [...scopes.files, ...own]) visit(path, 0)
  take(scopes.variables, undefined, 0)
  return { mentioned: unclear.syntax ? undefined : mentioned, hidden: unclear.include }
}

function readVariables(look: Look, path: string, stats: BigIntStats): ConfigVariable[] | undefined {
  return look.derive('config', path, stats, () => {
    try {
      return parseConfig(readFileSync(path, 'utf8'))
    } catch {
      // Unreadable or malformed: Git will say so itself.
      return undefined
    }
  })
}

/**
 * undefined for `~user/` and `%(prefix)/`, which only Git can expand, and for what it may read as other bytes: names
 * that are not UTF-8, NUL, and tabs, which Git before 2.45 makes spaces of.
 */
function includePath(
  value: string,
  directory: string | undefined,
  home: string | undefined,
): string | undefined {
  if (/[\t\r\0\uFFFD]/.test(value)) return undefined
  // Not normalized: a `..` after a link means the parent of its target.
  if (value.startsWith('~/')) return home === undefined ? undefined : `${home}/${value.slice(2)}`
  if (value.startsWith('~') || value.startsWith('%(')) return undefined
  if (value.startsWith('/')) return value
  return directory === undefined ? undefined : `${directory}/${value}`
}
