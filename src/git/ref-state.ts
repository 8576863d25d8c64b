import { readdirSync, type BigIntStats } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { lookAtConfig, type ConfigScopes, type ConfigSight } from './config-files.js'
import { Look, type LookMemory } from './look.js'
import { enterRepo, type Repository } from './repository.js'

/** A repository's state as it was seen. Equal tokens mean that nothing changed between the two looks. */
export interface RefState {
  readonly repository: Repository
  /** Is git-daemon-export-ok there? */
  readonly exported: boolean
  readonly config: ConfigSight
  /** All that decides the bytes of an advertisement. */
  readonly refs: Sight
  /** The part that decides a capability advertisement of protocol v2, which has no refs in it. */
  readonly capabilities: Sight
}

export interface Sight {
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
 * Looks at the ref state of the repository that a path means; undefined: there is none.
 *
 * Which files decide: HEAD, packed-refs, each directory under refs/ (a loose ref is written by a rename into its
 * directory, refs/files-backend.c), reftable/tables.list by its content (a table is added by rewriting it; its stat may
 * stay equal), the configuration with its includes, shallow, git-daemon-export-ok, and the Git program.
 */
export async function lookAtRefState(
  settings: LookSettings,
  memory: LookMemory,
  path: string,
): Promise<RefState | undefined> {
  const look = new Look(memory)
  const repository = enterRepo(look, settings.root, path)
  if (!repository) return undefined
  const { gitDir, commonDir } = repository

  look.note(`${gitDir} ${commonDir} ${settings.environmentDigest}`)
  for (const program of settings.programs) look.stat(program)
  const config = lookAtConfig(look, repository, settings.scopes)
  const exported = look.stat(`${gitDir}/git-daemon-export-ok`) !== undefined
  const sight = (): Sight => ({
    token: look.digest(),
    unsettledMs: config.hidden ? Infinity : look.unsettledMs,
  })
  // The branch may decide which files are included (git-config(1), "onbranch").
  if (!config.mentioned || config.mentioned.has('includeif.path')) look.lstat(`${gitDir}/HEAD`)
  const capabilities = sight()

  look.lstat(`${gitDir}/HEAD`)
  look.stat(`${commonDir}/packed-refs`)
  look.stat(`${commonDir}/shallow`)
  for (const directory of new Set([commonDir, gitDir])) {
    look.content(`${directory}/reftable/tables.list`)
    await lookAtDirectories(look, `${directory}/refs`)
  }
  return { repository, exported, config, capabilities, refs: sight() }
}

/**
 * Looks at a directory and at all below it; links to directories are followed, as Git does. Names of refs need not be
 * UTF-8: paths are bytes here, written as Latin-1.
 */
async function lookAtDirectories(look: Look, top: string): Promise<void> {
  const waiting = [Buffer.from(top).toString('latin1')]
  // A link may lead to where we have been, and would again.
  const seen = new Set<string>()
  for (let count = 1; ; count++) {
    const path = waiting.pop()
    if (path === undefined) return
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
