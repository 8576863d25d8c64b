import type { BigIntStats } from 'node:fs'
import { dirname } from 'node:path'
import { throwIfTransient } from '../filesystem/system-errors.js'
import { pathText, systemPath } from '../filesystem/byte-path.js'
import { parseConfig, type ConfigVariable } from './config-parser.js'
import type { StatSnapshot } from './stat-snapshot.js'
import { placeOf, type Place } from '../filesystem/open-directory.js'
import { readRegularFile } from '../filesystem/read-file.js'
import type { OpenRepository } from './repository.js'

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
export interface ObservedConfig {
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
/** Files that are looked at, at the most: each look takes 3 µs for each of them, while nothing else runs. */
const filesMax = 1000

/**
 * Looks at every configuration file that may decide what Git says of a repository, and at what these include;
 * conditional includes are looked at whether their condition holds or not (git-config(1), "Conditional includes").
 */
export function observeConfig(
  snapshot: StatSnapshot,
  { git, common }: Pick<OpenRepository, 'git' | 'common'>,
  scopes: ConfigScopes,
): ObservedConfig {
  const mentioned = new Set<string>()
  /** By place, the least depth at which its includes have been followed: from there, they reach farthest. */
  const followed = new Map<string, number>()
  const files = new Map<string, readonly ConfigVariable[] | 'absent' | 'malformed'>()
  const tooDeep: Place[] = []
  const unclear = { syntax: false, include: false }

  const take = (variables: readonly ConfigVariable[], file: Place | undefined, depth: number): void => {
    for (const { name, value } of variables) {
      mentioned.add(name)
      if ((name !== 'include.path' && name !== 'includeif.path') || !value) continue
      if (files.size >= filesMax) {
        unclear.include = true
        continue
      }
      const place = includePlace(value, file, scopes.home)
      if (place === undefined) unclear.include = true
      else if (depth < includeDepthMax) visit(place, depth + 1)
      else tooDeep.push(place)
    }
  }
  const visit = (place: Place, depth: number): void => {
    const before = followed.get(place.name)
    if (before !== undefined && before <= depth) return
    followed.set(place.name, depth)
    const variables = files.get(place.name) ?? read(place)
    if (variables === 'malformed') unclear.syntax = true
    else if (variables !== 'absent') take(variables, place, depth)
  }
  const read = (place: Place): readonly ConfigVariable[] | 'absent' | 'malformed' => {
    const stats = snapshot.stat(place)
    const variables = stats?.isFile() ? (readVariables(snapshot, place, stats) ?? 'malformed') : 'absent'
    files.set(place.name, variables)
    return variables
  }

  for (const path of scopes.files) visit(placeOf(path), 0)
  visit(common.at('config'), 0)
  if (snapshot.entries(git)?.has('config.worktree') ?? true) visit(git.at('config.worktree'), 0)
  take(scopes.variables, undefined, 0)
  // What is included from too deep may be seen from elsewhere; if not, this reader gives up, and a change may go unseen.
  const hidden = unclear.include || tooDeep.some(({ name }) => !followed.has(name))
  return { mentioned: unclear.syntax ? undefined : mentioned, hidden }
}

function readVariables(
  snapshot: StatSnapshot,
  place: Place,
  stats: BigIntStats,
): ConfigVariable[] | undefined {
  return snapshot.derive('config', place, stats, () => {
    try {
      return parseConfig(readRegularFile(place.path).toString())
    } catch (error) {
      throwIfTransient(error)
      // Unreadable or malformed: Git will say so itself.
      return undefined
    }
  })
}

/**
 * Where an include leads. undefined for `~user/` and `%(prefix)/`, which only Git can expand, and for what it may read
 * as other bytes: names that are not UTF-8, NUL, and tabs, which Git before 2.45 makes spaces of.
 */
function includePlace(value: string, file: Place | undefined, home: string | undefined): Place | undefined {
  if (/[\t\r\0\uFFFD]/.test(value)) return undefined
  // Not normalized: a `..` after a link means the parent of its target.
  if (value.startsWith('~/')) return home === undefined ? undefined : placeOf(`${home}/${value.slice(2)}`)
  if (value.startsWith('~') || value.startsWith('%(')) return undefined
  if (value.startsWith('/')) return placeOf(value)
  return file && beside(file, value)
}

/** A place by its path from the directory that a file is in. */
const beside = ({ name, path, real = name }: Place, relative: string): Place => ({
  name: `${dirname(name)}/${relative}`,
  path: systemPath(`${dirname(pathText(Buffer.from(path)))}/${relative}`),
  real: `${dirname(real)}/${relative}`,
})
