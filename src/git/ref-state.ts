import { readdirSync, type BigIntStats } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { lookAtConfig, type ConfigScopes, type ConfigSight } from './config-files.js'
import type { Look } from './look.js'
import { enterRepo, type Repository } from './repository.js'

/** A repository, and what decides how it is served, as it was seen. */
export interface RepositoryState {
  readonly repository: Repository
  /** Is git-daemon-export-ok there? */
  readonly exported: boolean
  readonly config: ConfigSight
  /** All that decides a capability advertisement of protocol v2, which has no refs in it. */
  readonly capabilities: Seen
}

/** What a look has seen. Equal tokens mean that nothing changed between the two looks. */
export interface Seen {
  readonly token: string
  /** 0: settled. Otherwise, milliseconds after which it would be if nothing changes; Infinity: never. */
  readonly unsettledMs: number
}

/** What a look must know of this machine. */
export interface LookSettings {
  /** The repositories root, absolute and free of links. */
  readonly root: string
  readonly scopes: ConfigScopes
  /** Files that make up the Git that runs; another Git may say other bytes. */
  readonly programs: readonly string[]
  /** Digest of the environment that Git processes get. */
  readonly environmentDigest: string
}

/** Directories looked at before other work gets its turn: half a millisecond, if none has to be read again. */
const directoriesPerTurn = 200

/**
 * Looks at the repository that a path means, but not at its refs; undefined: there is none. What decides: the
 * configuration with its includes, git-daemon-export-ok, and the Git program.
 */
export function lookAtRepository(
  look: Look,
  settings: LookSettings,
  path: string,
): RepositoryState | undefined {
  const repository = enterRepo(look, settings.root, path)
  if (!repository) return undefined
  const { gitDir, commonDir } = repository

  look.note(`${gitDir} ${commonDir} ${settings.environmentDigest}`)
  for (const program of settings.programs) look.stat(program)
  const config = lookAtConfig(look, repository, settings.scopes)
  const exported = look.stat(`${gitDir}/git-daemon-export-ok`) !== undefined
  // The branch may decide which files are included (git-config(1), "onbranch").
  if (!config.mentioned || config.mentioned.has('includeif.path')) look.lstat(`${gitDir}/HEAD`)
  return { repository, exported, config, capabilities: seenSoFar(look, config) }
}

/**
 * Goes on with that look to all that decides the bytes of an advertisement; undefined: it would be more than
 * `directoriesMax` directories.
 *
 * Which files decide: HEAD, packed-refs, each directory under refs/ (a loose ref is written by a rename into its
 * directory, refs/files-backend.c), reftable/tables.list by its content (a table is added by rewriting it; its stat may
 * stay equal), and shallow.
 */
export async function lookAtRefs(
  look: Look,
  { repository: { gitDir, commonDir }, config }: RepositoryState,
  directoriesMax: number,
): Promise<Seen | undefined> {
  look.lstat(`${gitDir}/HEAD`)
  look.stat(`${commonDir}/packed-refs`)
  look.stat(`${commonDir}/shallow`)
  let left = directoriesMax
  for (const directory of new Set([commonDir, gitDir])) {
    look.content(`${directory}/reftable/tables.list`)
    left = await lookAtDirectories(look, `${directory}/refs`, left)
    if (left < 0) return undefined
  }
  return seenSoFar(look, config)
}

const seenSoFar = (look: Look, config: ConfigSight): Seen => ({
  token: look.digest(),
  unsettledMs: config.hidden ? Infinity : look.unsettledMs,
})

/**
 * Looks at a directory and at all below it; links to directories are followed, as Git does. Names of refs need not be
 * UTF-8: paths are bytes here, written as Latin-1. Stops after `max` directories.
 * @returns how many more it might have looked at; negative: there are more than that
 */
async function lookAtDirectories(look: Look, top: string, max: number): Promise<number> {
  const waiting = [Buffer.from(top).toString('latin1')]
  // A link may lead to where we have been, and would again.
  const seen = new Set<string>()
  for (let count = 1; ; count++) {
    const path = waiting.pop()
    if (path === undefined) return max - seen.size
    if (seen.size > max) return -1
    if (count % directoriesPerTurn === 0) await nextTurn()
    const stats = look.stat(Buffer.from(path, 'latin1'))
    if (!stats?.isDirectory()) continue
    const inode = `${stats.dev}:${stats.ino}`
    if (seen.has(inode)) continue
    seen.add(inode)
    for (const name of directoriesIn(look, path, stats)) waiting.push(`${path}/${name}`)
  }
}

/** Names of the directories in a directory, and of links, whose targets may be directories or may change. */
function directoriesIn(look: Look, path: string, stats: BigIntStats): string[] {
  return look.derive('directories', path, stats, () => {
    try {
      return readdirSync(Buffer.from(path, 'latin1'), { withFileTypes: true, encoding: 'buffer' })
        .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
        .map((entry) => entry.name.toString('latin1'))
        .sort()
    } catch {
      // Unreadable or just gone: Git sees no refs there either, and a change of that changes the directory's ctime.
      return []
    }
  })
}
