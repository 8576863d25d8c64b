import { pathText, systemPath } from '../filesystem/byte-path.js'
import { placeOf, type OpenDirectory, type Place } from '../filesystem/open-directory.js'
import { readRegularFile } from '../filesystem/read-file.js'
import { statOf } from '../filesystem/stat-of.js'
import { throwIfTransient } from '../filesystem/system-errors.js'
import { parseAlternates } from './alternates-file.js'
import { digestSoFar, type RepositoryState, type StateDigest } from './repository-state.js'
import type { OpenRepository } from './repository.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** Files nested deeper than this are ignored by Git (link_alt_odb_entries() in object-file.c, odb.c since 2.51). */
const depthMax = 5
/** Most object directories that are followed, and most bytes of one file: each costs system calls per observation. */
const alternatesMax = 200
const fileMax = 1024 * 1024

/**
 * Observes what decides a pack besides configuration, objects and refs, on top of what `observeRepository` has recorded in
 * the same snapshot: `shallow`, `info/grafts`, `objects/info/alternates`, and the alternates files of the object
 * directories which that leads to (gitrepository-layout(5)). Git follows alternates out of the repositories root, and so
 * does this: it reads these files and nothing else there.
 *
 * The result is never settled if there is more than is followed.
 * @throws RemotePath
 */
export function observeObjectStore(
  snapshot: StatSnapshot,
  { common }: Pick<OpenRepository, 'common'>,
  { config }: Pick<RepositoryState, 'config'>,
): StateDigest {
  recordShallow(snapshot, common)
  if (snapshot.entries(common)?.has('info') ?? true) snapshot.stat(common.at('info/grafts'))
  const walk = new AlternatesWalk(snapshot)
  walk.visit(common.at('objects'), 0)
  const digest = digestSoFar(snapshot, config)
  return walk.isCut ? { ...digest, unsettledMs: Infinity } : digest
}

/** Records the list of commits whose parents are missing (gitrepository-layout(5), "shallow"). */
export function recordShallow(snapshot: StatSnapshot, common: OpenDirectory): void {
  if (snapshot.entries(common)?.has('shallow') ?? true) snapshot.stat(common.at('shallow'))
}

/** Follows alternates files from one object directory to others. */
class AlternatesWalk {
  /** Is there more than was followed? */
  isCut = false
  readonly #snapshot: StatSnapshot
  /** By the identity of an object directory, the smallest depth at which it was followed: from there it reaches farthest. */
  readonly #followed = new Map<string, number>()
  #count = 0

  constructor(snapshot: StatSnapshot) {
    this.#snapshot = snapshot
  }

  /** Records the alternates file of an object directory, and what it leads to. */
  visit(objects: Place, depth: number): void {
    const file = placeBelow(objects, 'info/alternates')
    const stats = this.#snapshot.stat(file)
    if (!stats?.isFile()) return
    if (stats.size > fileMax) {
      this.isCut = true
      return
    }
    const paths = this.#snapshot.derive('alternates', file, stats, () => readAlternates(file))
    for (const path of paths) {
      this.#follow(path.startsWith('/') ? placeOf(path) : placeBelow(objects, path), depth)
    }
  }

  /**
   * Records which directory an alternate is: it may be a link, and lead to another one later. Its timestamps say nothing
   * here, for they move whenever an object is added.
   */
  #follow(objects: Place, depth: number): void {
    if (++this.#count > alternatesMax) {
      this.isCut = true
      return
    }
    this.#snapshot.guard?.check(objects.real!)
    const stats = statOf(objects.path, (error) => {
      // Relative paths from one directory to the next add up here; Git makes each of them shorter (strbuf_realpath).
      if ((error as NodeJS.ErrnoException).code === 'ENAMETOOLONG') this.isCut = true
    })
    const identity = stats?.isDirectory() ? `${stats.dev}:${stats.ino}:${stats.birthtimeNs}` : '-'
    this.#snapshot.recordText(`${objects.name} ${identity}`)
    if (!stats?.isDirectory()) return
    const before = this.#followed.get(identity)
    if (before !== undefined && before <= depth) return
    this.#followed.set(identity, depth)
    if (depth < depthMax) this.visit(objects, depth + 1)
  }
}

function readAlternates({ path }: Place): readonly string[] {
  try {
    return parseAlternates(readRegularFile(path))
  } catch (error) {
    throwIfTransient(error)
    // Git cannot read it either, and ignores it.
    return []
  }
}

/** Not normalized: a `..` after a link means the parent of its target. */
const placeBelow = ({ name, path, real = name }: Place, relative: string): Place => ({
  name: `${name}/${relative}`,
  path: systemPath(`${pathText(Buffer.from(path))}/${relative}`),
  real: `${real}/${relative}`,
})
