import { readdirSync, type BigIntStats } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pathText } from './byte-path.js'
import { throwIfOfTheMoment } from './absent.js'
import { lookAtConfig, type ConfigScopes, type ConfigSight } from './config-files.js'
import type { Look } from './look.js'
import type { Place } from './open-directory.js'
import { realPath } from './real-path.js'
import { nameBelow, type RepositoriesRoot } from './repositories-root.js'
import { identityOf, type OpenRepository, type Repository } from './repository.js'

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

/** What a look at refs has seen. */
export interface SeenRefs extends Seen {
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
export interface LookSettings {
  readonly root: RepositoriesRoot
  readonly scopes: ConfigScopes
  /** Files that make up the Git that runs; another Git may say other bytes. */
  readonly programs: readonly Place[]
  /** Digest of the environment that Git processes get. */
  readonly environmentDigest: string
}

/** Files and directories looked at before other work gets its turn: half a millisecond, if none has to be read again. */
const looksPerTurn = 200

/**
 * Looks at a repository, but not at its refs. What decides: the configuration with its includes, git-daemon-export-ok,
 * and the Git program.
 */
export function lookAtRepository(
  look: Look,
  settings: Omit<LookSettings, 'root'>,
  opened: OpenRepository,
): RepositoryState {
  const { repository, git, stats } = opened
  const { gitDir } = repository
  look.note(`${gitDir} ${repository.commonDir} ${identityOf(repository)} ${settings.environmentDigest}`)
  for (const program of settings.programs) look.stat(program)
  const config = lookAtConfig(look, opened, settings.scopes)
  const marker = 'git-daemon-export-ok'
  const exported = (look.entries(git)?.has(marker) ?? true) && look.stat(git.at(marker)) !== undefined
  if (!config.mentioned || config.mentioned.has('includeif.path')) {
    // The branch may decide which files are included (git-config(1), "onbranch"),
    look.take(git.at('HEAD'), stats.HEAD)
    // and so may the path ("gitdir"), which is another one while a directory on it has another name.
    for (const directory of directoriesAbove(gitDir)) look.stat({ name: directory, path: directory })
  }
  return { repository, exported, config, capabilities: seenSoFar(look, config) }
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
export async function lookAtRefs(
  look: Look,
  { git, common, stats, homes }: OpenRepository,
  { config }: RepositoryState,
  limits: RefLimits,
): Promise<SeenRefs | 'directories' | 'outside'> {
  look.take(git.at('HEAD'), stats.HEAD)
  takePart(look, common.at('packed-refs'), stats['packed-refs'])
  if (look.entries(common)?.has('shallow') ?? true) look.stat(common.at('shallow'))
  const walk = new RefsWalk(look, limits, homes)
  if (stats.reftable) look.content(common.at('reftable/tables.list'))
  let problem = await walk.take(common.at('refs'), stats.refs)
  if (!problem && git !== common) {
    look.content(git.at('reftable/tables.list'))
    problem = await walk.take(git.at('refs'))
  }
  return problem ?? { ...seenSoFar(look, config), allLoose: walk.allLoose }
}

/** A part of a repository may be a link: then both what it is and what it leads to decide. */
function takePart(look: Look, place: Place, stats: BigIntStats | undefined): void {
  look.take(place, stats)
  if (stats?.isSymbolicLink()) look.stat(place)
}

const seenSoFar = (look: Look, config: ConfigSight): Seen => ({
  token: look.digest(),
  unsettledMs: config.hidden ? Infinity : look.unsettledMs,
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
  readonly #look: Look
  readonly #limits: RefLimits
  readonly #homes: readonly string[]
  /** A link may lead to where we have been, and would again. */
  readonly #seen = new Set<string>()
  #looseRefs = 0
  #looks = 0

  constructor(look: Look, limits: RefLimits, homes: readonly string[]) {
    this.#look = look
    this.#limits = limits
    this.#homes = homes
  }

  /** @returns why the look ends here, if it does */
  async take(top: Place, topStats?: BigIntStats): Promise<'directories' | 'outside' | undefined> {
    const waiting = [latin1(top)]
    let known = topStats?.isDirectory() ? topStats : undefined
    if (topStats) this.#look.take(top, topStats)
    for (let path = waiting.pop(); path; path = waiting.pop()) {
      if (this.#seen.size > this.#limits.directories) return 'directories'
      if (++this.#looks % looksPerTurn === 0) await nextTurn()
      const place = bytes(path)
      const stats = known ?? this.#look.stat(place)
      known = undefined
      if (!stats?.isDirectory()) continue
      const inode = `${stats.dev}:${stats.ino}`
      if (this.#seen.has(inode)) continue
      this.#seen.add(inode)
      const { directories, files, links } = this.#list(place, stats)
      for (const link of links) {
        const linked = { name: `${path.name}/${link}`, path: `${path.path}/${link}` }
        this.#look.guard?.check(realOf(top, linked))
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
      if (++this.#looks % looksPerTurn === 0) await nextTurn()
      this.#look.statOne(bytes({ name: `${directory.name}/${name}`, path: `${directory.path}/${name}` }))
    }
  }

  #list(place: Place, stats: BigIntStats): Listing {
    return this.#look.derive('listing', place, stats, () => {
      try {
        return list(place.path, this.#limits.looseRefs)
      } catch (error) {
        throwIfOfTheMoment(error)
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
      throwIfOfTheMoment(error)
      return false
    }
    this.#look.guard?.checkBelow(real)
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
