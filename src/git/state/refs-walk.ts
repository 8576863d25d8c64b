import type { BigIntStats } from 'node:fs'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { pathText } from '../filesystem/byte-path.js'
import type { Place } from '../filesystem/open-directory.js'
import { pathWithin } from '../filesystem/path-within.js'
import { realPath } from '../filesystem/real-path.js'
import { throwIfTransient } from '../filesystem/system-errors.js'
import { emptyRefDirectory, listRefDirectory, type RefDirectory } from './ref-directory.js'
import type { RefPart } from './ref-details.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** How much one observation of refs may include. */
export interface RefLimits {
  /** Directories under refs/, in all. */
  readonly directories: number
  /** Loose refs, in all. */
  readonly looseRefs: number
  /** Where links under refs/ may lead besides the repository itself: a directory, absolute and free of links. */
  readonly linksBelow?: () => string | undefined
}

/** Why a walk has ended early: too many directories, or a link that leads to a place that is not allowed. */
export type WalkProblem = 'directories' | 'outside'

/** Stat calls between two yields to the event loop: half a millisecond, if no directory has to be listed again. */
const statsPerYield = 200

/**
 * Records directories of refs and all below them. Links are followed, as Git does, if their target is in the repository
 * or below `linksBelow`.
 */
export class RefsWalk {
  /** False once there were more loose refs than `looseRefs`: the last directories' refs are not checked one by one. */
  allLoose = true
  /** Were there links, or a directory that is reached by two names? Then refs have other names than their places. */
  hasAliases = false
  readonly #snapshot: StatSnapshot
  readonly #limits: RefLimits
  readonly #allowedLinkTargets: readonly string[]
  /** Inodes of visited directories: a link may lead to one of them again. */
  readonly #visited = new Set<string>()
  #directories: number[] = []
  #unchecked: number[] = []
  #looseRefs = 0
  #stats = 0

  constructor(snapshot: StatSnapshot, limits: RefLimits, allowedLinkTargets: readonly string[]) {
    this.#snapshot = snapshot
    this.#limits = limits
    this.#allowedLinkTargets = allowedLinkTargets
  }

  /** @param topStats of `top`, link not followed, if they are known */
  async record(top: Place, topStats?: BigIntStats): Promise<WalkProblem | undefined> {
    const pending = [latin1Place(top)]
    let known = topStats?.isDirectory() ? topStats : undefined
    let at = this.#snapshot.records.length
    if (topStats) this.#snapshot.record(top, topStats)
    if (topStats?.isSymbolicLink()) this.hasAliases = true
    for (let path = pending.pop(); path; path = pending.pop()) {
      if (this.#visited.size > this.#limits.directories) return 'directories'
      if (++this.#stats % statsPerYield === 0) await yieldToEventLoop()
      const place = placeOfBytes(path)
      if (!known) at = this.#snapshot.records.length
      const stats = known ?? this.#snapshot.stat(place)
      known = undefined
      if (!stats?.isDirectory()) continue
      this.#directories.push(at)
      const inode = `${stats.dev}:${stats.ino}`
      if (this.#visited.has(inode)) {
        this.hasAliases = true
        continue
      }
      this.#visited.add(inode)
      const { directories, files, links } = this.#list(place, stats)
      if (links.length > 0) this.hasAliases = true
      for (const link of links) {
        const linked = { name: `${path.name}/${link}`, path: `${path.path}/${link}` }
        this.#snapshot.guard?.check(realOf(top, linked))
        if (this.#leadsOutside(placeOfBytes(linked))) return 'outside'
        pending.push(linked)
      }
      for (const name of directories)
        pending.push({ name: `${path.name}/${name}`, path: `${path.path}/${name}` })
      if (files?.length === 0) continue
      if (!files || this.#looseRefs + files.length > this.#limits.looseRefs) {
        this.allLoose = false
        this.#unchecked.push(at)
      } else await this.#recordLooseRefs(path, files)
    }
    return this.#visited.size > this.#limits.directories ? 'directories' : undefined
  }

  /** Returns which records of the last walk are directories, and which of these have refs that were not checked. */
  takeDirectories(): Pick<RefPart, 'directories' | 'unchecked'> {
    const taken = { directories: this.#directories, unchecked: this.#unchecked }
    this.#directories = []
    this.#unchecked = []
    return taken
  }

  async #recordLooseRefs(directory: Latin1Place, files: readonly string[]): Promise<void> {
    this.#looseRefs += files.length
    for (const name of files) {
      if (++this.#stats % statsPerYield === 0) await yieldToEventLoop()
      this.#snapshot.statOneOfMany(
        placeOfBytes({ name: `${directory.name}/${name}`, path: `${directory.path}/${name}` }),
      )
    }
  }

  #list(place: Place, stats: BigIntStats): RefDirectory {
    return this.#snapshot.derive('listing', place, stats, () => {
      try {
        return listRefDirectory(place.path, this.#limits.looseRefs)
      } catch (error) {
        throwIfTransient(error)
        // Unreadable or just removed: Git sees no refs there either, and when that changes the directory's ctime changes.
        return emptyRefDirectory
      }
    })
  }

  /** A link that leads nowhere stands for no file or directory: Git takes it for a symbolic ref, or ignores it. */
  #leadsOutside({ path }: Place): boolean {
    let real: string
    try {
      real = realPath(path)
    } catch (error) {
      throwIfTransient(error)
      return false
    }
    this.#snapshot.guard?.checkBelow(real)
    const targets = [...this.#allowedLinkTargets, this.#limits.linksBelow?.()]
    return !targets.some((target) => target !== undefined && pathWithin(target, real) !== undefined)
  }
}

/** A place whose name and path are bytes, written as Latin-1: names of refs need not be UTF-8. */
type Latin1Place = Readonly<Record<'name' | 'path', string>>

const latin1Place = ({ name, path }: Place): Latin1Place => ({
  name,
  path: Buffer.from(path).toString('latin1'),
})

/** Where a place below another one is, by names. */
const realOf = (top: Place, { name }: Latin1Place): string =>
  top.real! + pathText(Buffer.from(name.slice(top.name.length), 'latin1'))

const placeOfBytes = ({ name, path }: Latin1Place): Place => ({
  name,
  path: /^[\0-\x7f]*$/.test(path) ? path : Buffer.from(path, 'latin1'),
})
