import { hash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { dirname } from 'node:path'
import { pathText, systemPath } from '../filesystem/byte-path.js'
import { placeOf, type Place } from '../filesystem/open-directory.js'
import { readRegularFile } from '../filesystem/read-file.js'
import { throwIfTransient } from '../filesystem/system-errors.js'
import { parseConfig, type ConfigVariable } from './config-parser.js'
import type { OpenRepository } from './repository.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** Where Git finds configuration besides the repository's own files. */
export interface ConfigScopes {
  /** The system's file and the user's, whether they exist or not. */
  readonly files: readonly string[]
  /** For paths that begin with `~/`. */
  readonly home: string | undefined
  /** Variables that the environment adds (git-config(1), GIT_CONFIG_COUNT). */
  readonly variables: readonly ConfigVariable[]
}

/** What the configuration files tell without running Git. */
export interface ObservedConfig {
  /**
   * Variables that some file mentions, in lower case, without subsections; whether they apply, and their values, only
   * Git can tell. undefined: some file cannot be parsed, so that any variable may be set.
   */
  readonly mentioned: ReadonlySet<string> | undefined
  /** Is there an include whose path cannot be followed? Then a change may go unnoticed. */
  readonly hidden: boolean
  /**
   * Names what all files say, one after the other: equal on hosts whose files say the same, wherever these files are and
   * whenever they were written.
   */
  readonly contents: string
}

/** Includes nested deeper than this are an error for Git (config.c, MAX_INCLUDE_DEPTH). */
const includeDepthMax = 10
/** Most files that are observed: each costs 3 µs per observation, during which nothing else runs. */
const filesMax = 1000

/**
 * Records every configuration file that may decide what Git says about a repository, and what these files include;
 * conditional includes are followed whether their condition holds or not (git-config(1), "Conditional includes").
 */
export function observeConfig(
  snapshot: StatSnapshot,
  { git, common }: Pick<OpenRepository, 'git' | 'common'>,
  scopes: ConfigScopes,
): ObservedConfig {
  const walk = new ConfigWalk(snapshot, scopes.home)
  for (const path of scopes.files) walk.visit(placeOf(path), 0)
  walk.visit(common.at('config'), 0)
  if (snapshot.entries(git)?.has('config.worktree') ?? true) walk.visit(git.at('config.worktree'), 0)
  walk.takeFrom(contentOf(scopes.variables), undefined, 0)
  return walk.observed()
}

interface Variables {
  readonly variables: readonly ConfigVariable[]
  /** Digest of their names and values. */
  readonly digest: string
}

/** What a configuration file holds. */
type FileContent = Variables | 'absent' | 'malformed'

const contentOf = (variables: readonly ConfigVariable[]): Variables => ({
  variables,
  digest: hash(
    'sha256',
    JSON.stringify(variables.map(({ name, value = null }) => [name, value])),
    'base64url',
  ),
})

/** Follows configuration files through their includes. */
class ConfigWalk {
  readonly #snapshot: StatSnapshot
  readonly #home: string | undefined
  readonly #mentioned = new Set<string>()
  /** By place, the smallest depth at which its includes have been followed: from there, they reach farthest. */
  readonly #followed = new Map<string, number>()
  readonly #contents = new Map<string, FileContent>()
  readonly #digests: string[] = []
  /** Includes beyond `includeDepthMax`. */
  readonly #tooDeep: Place[] = []
  #isMalformed = false
  #isHidden = false

  constructor(snapshot: StatSnapshot, home: string | undefined) {
    this.#snapshot = snapshot
    this.#home = home
  }

  /** Observes a file and its includes, unless that was done at this depth or a smaller one. */
  visit(place: Place, depth: number): void {
    const before = this.#followed.get(place.name)
    if (before !== undefined && before <= depth) return
    this.#followed.set(place.name, depth)
    const content = this.#contents.get(place.name) ?? this.#read(place)
    if (content === 'malformed') this.#isMalformed = true
    else if (content !== 'absent') this.takeFrom(content, place, depth)
  }

  /** Takes over the variables of a file, or of the environment, and follows the includes among them. */
  takeFrom({ variables, digest }: Variables, file: Place | undefined, depth: number): void {
    this.#digests.push(digest)
    for (const { name, value } of variables) {
      this.#mentioned.add(name)
      if ((name !== 'include.path' && name !== 'includeif.path') || !value) continue
      if (this.#contents.size >= filesMax) {
        this.#isHidden = true
        continue
      }
      const place = includePlace(value, file, this.#home)
      if (place === undefined) this.#isHidden = true
      else if (depth < includeDepthMax) this.visit(place, depth + 1)
      else this.#tooDeep.push(place)
    }
  }

  #read(place: Place): FileContent {
    const stats = this.#snapshot.stat(place)
    const content = stats?.isFile() ? (readVariables(this.#snapshot, place, stats) ?? 'malformed') : 'absent'
    this.#contents.set(place.name, content)
    return content
  }

  observed(): ObservedConfig {
    // A file that is included from too deep may be included from elsewhere too; if not, it was not observed.
    const hidden = this.#isHidden || this.#tooDeep.some(({ name }) => !this.#followed.has(name))
    const mentioned = this.#isMalformed ? undefined : this.#mentioned
    return { mentioned, hidden, contents: this.#digests.join(' ') }
  }
}

function readVariables(snapshot: StatSnapshot, place: Place, stats: BigIntStats): Variables | undefined {
  return snapshot.derive('config', place, stats, () => {
    try {
      return contentOf(parseConfig(readRegularFile(place.path).toString()))
    } catch (error) {
      throwIfTransient(error)
      // Unreadable or malformed: Git will report it.
      return undefined
    }
  })
}

/**
 * Returns where an include leads. undefined for `~user/` and `%(prefix)/`, which only Git can expand, and for what Git
 * may read as other bytes: names that are not UTF-8, NUL, and tabs, which Git before 2.45 turns into spaces.
 */
function includePlace(value: string, file: Place | undefined, home: string | undefined): Place | undefined {
  if (/[\t\r\0\uFFFD]/.test(value)) return undefined
  // Not normalized: a `..` after a link means the parent of its target.
  if (value.startsWith('~/')) return home === undefined ? undefined : placeOf(`${home}/${value.slice(2)}`)
  if (value.startsWith('~') || value.startsWith('%(')) return undefined
  if (value.startsWith('/')) return placeOf(value)
  return file && placeBeside(file, value)
}

/** A place by its path from the directory that a file is in. */
const placeBeside = ({ name, path, real = name }: Place, relative: string): Place => ({
  name: `${dirname(name)}/${relative}`,
  path: systemPath(`${dirname(pathText(Buffer.from(path)))}/${relative}`),
  real: `${dirname(real)}/${relative}`,
})
