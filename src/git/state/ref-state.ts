import { readdirSync, type BigIntStats } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pathText } from '../filesystem/byte-path.js'
import { throwIfTransient } from '../filesystem/system-errors.js'
import { observeConfig, type ConfigScopes, type ObservedConfig } from './config-files.js'
import type { StatSnapshot } from './stat-snapshot.js'
import type { Place } from '../filesystem/open-directory.js'
import { realPath } from '../filesystem/real-path.js'
import { nameBelow, type RepositoriesRoot } from './repositories-root.js'
import { identityOf, type OpenRepository, type Repository } from './repository.js'

/** A repository, and what decides how it is served, as it was seen. */
export interface RepositoryState {
  readonly repository: Repository
  /** Is git-daemon-export-ok there? */
  readonly exported: boolean
  readonly config: ObservedConfig
  /** All that decides a capability advertisement of protocol v2, which has no refs in it. */
  readonly capabilities: StateDigest
}

/** What a look has seen. Equal tokens mean that nothing changed between the two looks. */
export interface StateDigest {
  readonly token: string
  /** 0: settled. Otherwise, milliseconds after which it would be if nothing changes; Infinity: never. */
  readonly unsettledMs: number
}

/** What a look at refs has seen. */
export interface ObservedRefs extends StateDigest {
  /** Have all loose refs been looked at? Otherwise one that is written in place may go unseen. */
  readonly allLoose: boolean
}

/** How much a look at refs may take in. */
export interface RefLimits {
  /** Directories under refs/, in all. */
  readonly directories: number
  /** Loose refs, in all. */
  readonly looseRefs: number
  /** Where links under refs/ may lead besides the repository itself: a directory, absolute and free of links. */
  readonly linksBelow?: () => string | undefined
}

/** What a look must know of this machine. */
export interface ObservationSettings {
  readonly root: RepositoriesRoot
  readonly scopes: ConfigScopes
  /** Files that make up the Git that runs; another Git may say other bytes. */
  readonly programs: readonly Place[]
  /** Digest of the environment that Git processes get. */
  readonly environmentDigest: string
}

/** Files and directories looked at before other work gets its turn: half a millisecond, if none has to be read again. */
const statsPerTurn = 200

/**
 * Looks at a repository, but not at its refs. What decides: the configuration with its includes, git-daemon-export-ok,
 * and the Git program.
 */
export function observeRepository(
  snapshot: StatSnapshot,
  settings: Omit<ObservationSettings, 'root'>,
  opened: OpenRepository,
): RepositoryState {
  const { repository, git, stats } = opened
  const { gitDir } = repository
  snapshot.note(`${gitDir} ${repository.commonDir} ${identityOf(repository)} ${settings.environmentDigest}`)
  for (const program of settings.programs) snapshot.stat(program)
  const config = observeConfig(snapshot, opened, settings.scopes)
  const marker = 'git-daemon-export-ok'
  const exported = (snapshot.entries(git)?.has(marker) ?? true) && snapshot.stat(git.at(marker)) !== undefined
  if (!config.mentioned || config.mentioned.has('includeif.path')) {
    // The branch may decide which files are included (git-config(1), "onbranch"),
    snapshot.take(git.at('HEAD'), stats.HEAD)
    // and so may the path ("gitdir"), which is another one while a directory on it has another name.
    for (const directory of directoriesAbove(gitDir)) snapshot.stat({ name: directory, path: directory })
  }
  return { repository, exported, config, capabilities: digestSoFar(snapshot, config) }
}

function directoriesAbove(path: string): string[] {
  const names = path.split('/')
  return names.map((_, index) => names.slice(0, index + 1).join('/') || '/')
}

/**
 * Goes on with that look to all that decides the bytes of an advertisement.
 *
 * Which files decide: HEAD, packed-refs, each directory under refs/ (a loose ref is written by a rename into its
 * directory, refs/files-backend.c), each loose ref (for writers that are not Git and write in place),
 * reftable/tables.list by its content (a table is added by rewriting it; its stat may stay equal), and shallow.
 * @returns 'directories': there are more than a look may take in; 'outside': a link leads out of the repository
 */
export async function observeRefs(
  snapshot: StatSnapshot,
  { git, common, stats, homes }: OpenRepository,
  { config }: RepositoryState,
  limits: RefLimits,
): Promise<ObservedRefs | 'directories' | 'outside'> {
  snapshot.take(git.at('HEAD'), stats.HEAD)
  takePart(snapshot, common.at('packed-refs'), stats['packed-refs'])
  if (snapshot.entries(common)?.has('shallow') ?? true) snapshot.stat(common.at('shallow'))
  const walk = new RefsWalk(snapshot, limits, homes)
  if (stats.reftable) snapshot.content(common.at('reftable/tables.list'))
  let problem = await walk.take(common.at('refs'), stats.refs)
  if (!problem && git !== common) {
    snapshot.content(git.at('reftable/tables.list'))
    problem = await walk.take(git.at('refs'))
  }
  return problem ?? { ...digestSoFar(snapshot, config), allLoose: walk.allLoose }
}

/** A part of a repository may be a link: then both what it is and what it leads to decide. */
function takePart(snapshot: StatSnapshot, place: Place, stats: BigIntStats | undefined): void {
  snapshot.take(place, stats)
  if (stats?.isSymbolicLink()) snapshot.stat(place)
}

const digestSoFar = (snapshot: StatSnapshot, config: ObservedConfig): StateDigest => ({
  token: snapshot.digest(),
  unsettledMs: config.hidden ? Infinity : snapshot.unsettledMs,
})

/** What is in a directory under refs/. Names of refs need not be UTF-8: they are bytes here, written as Latin-1. */
interface Listing {
  readonly directories: readonly string[]
  /** undefined: more than may be looked at. */
  readonly files: readonly string[] | undefined
  /** Whose targets may be directories or files, and may change. */
  readonly links: readonly string[]
}

const emptyListing: Listing = { directories: [], files: [], links: [] }

/** Looks at directories of refs and at all below them; links are followed, as Git does, but not out of the repository. */
class RefsWalk {
  /** False once there were more loose refs than may be looked at. */
  allLoose = true
  readonly #snapshot: StatSnapshot
  readonly #limits: RefLimits
  readonly #homes: readonly string[]
  /** A link may lead to where we have been, and would again. */
  readonly #seen = new Set<string>()
  #looseRefs = 0
  #stats = 0

  constructor(snapshot: StatSnapshot, limits: RefLimits, homes: readonly string[]) {
    this.#snapshot = snapshot
    this.#limits = limits
    this.#homes = homes
  }

  /** @returns why the look ends here, if it does */
  async take(top: Place, topStats?: BigIntStats): Promise<'directories' | 'outside' | undefined> {
    const waiting = [latin1(top)]
    let known = topStats?.isDirectory() ? topStats : undefined
    if (topStats) this.#snapshot.take(top, topStats)
    for (let path = waiting.pop(); path; path = waiting.pop()) {
      if (this.#seen.size > this.#limits.directories) return 'directories'
      if (++this.#stats % statsPerTurn === 0) await nextTurn()
      const place = bytes(path)
      const stats = known ?? this.#snapshot.stat(place)
      known = undefined
      if (!stats?.isDirectory()) continue
      const inode = `${stats.dev}:${stats.ino}`
      if (this.#seen.has(inode)) continue
      this.#seen.add(inode)
      const { directories, files, links } = this.#list(place, stats)
      for (const link of links) {
        const linked = { name: `${path.name}/${link}`, path: `${path.path}/${link}` }
        this.#snapshot.guard?.check(realOf(top, linked))
        if (this.#leadsOutside(bytes(linked))) return 'outside'
        waiting.push(linked)
      }
      for (const name of directories)
        waiting.push({ name: `${path.name}/${name}`, path: `${path.path}/${name}` })
      if (!files || files.length > 0) await this.#takeFiles(path, files)
    }
    return this.#seen.size > this.#limits.directories ? 'directories' : undefined
  }

  async #takeFiles(directory: Latin1Place, files: readonly string[] | undefined): Promise<void> {
    if (!files || this.#looseRefs + files.length > this.#limits.looseRefs) {
      this.allLoose = false
      return
    }
    this.#looseRefs += files.length
    for (const name of files) {
      if (++this.#stats % statsPerTurn === 0) await nextTurn()
      this.#snapshot.statOne(bytes({ name: `${directory.name}/${name}`, path: `${directory.path}/${name}` }))
    }
  }

  #list(place: Place, stats: BigIntStats): Listing {
    return this.#snapshot.derive('listing', place, stats, () => {
      try {
        return list(place.path, this.#limits.looseRefs)
      } catch (error) {
        throwIfTransient(error)
        // Unreadable or just gone: Git sees no refs there either, and a change of that changes the directory's ctime.
        return emptyListing
      }
    })
  }

  /** A link that leads nowhere is none of a file or directory: Git takes it for a symbolic ref, or for nothing. */
  #leadsOutside({ path }: Place): boolean {
    let real: string
    try {
      real = realPath(path)
    } catch (error) {
      throwIfTransient(error)
      return false
    }
    this.#snapshot.guard?.checkBelow(real)
    const homes = [...this.#homes, this.#limits.linksBelow?.()]
    return !homes.some((home) => home !== undefined && nameBelow(home, real) !== undefined)
  }
}

/** A place whose name and path are bytes, written as Latin-1. */
type Latin1Place = Readonly<Record<'name' | 'path', string>>

const latin1 = ({ name, path }: Place): Latin1Place => ({ name, path: Buffer.from(path).toString('latin1') })

/** Where a place below another one is, by names. */
const realOf = (top: Place, { name }: Latin1Place): string =>
  top.real! + pathText(Buffer.from(name.slice(top.name.length), 'latin1'))

const bytes = ({ name, path }: Latin1Place): Place => ({
  name,
  path: /^[\0-\x7f]*$/.test(path) ? path : Buffer.from(path, 'latin1'),
})

/** Git's lock files are no refs (refs/files-backend.c). */
function list(path: string | Buffer, filesMax: number): Listing {
  const entries = readdirSync(path, { withFileTypes: true, encoding: 'buffer' })
  const names = (wanted: (typeof entries)[number][]): string[] =>
    wanted.map(({ name }) => name.toString('latin1')).sort()
  const files = entries.filter((entry) => entry.isFile() && !entry.name.subarray(-5).equals(lockSuffix))
  return {
    directories: names(entries.filter((entry) => entry.isDirectory())),
    files: files.length > filesMax ? undefined : names(files),
    links: names(entries.filter((entry) => entry.isSymbolicLink())),
  }
}

const lockSuffix = Buffer.from('.lock')
