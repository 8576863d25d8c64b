import { accessSync, constants, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pathText, systemPath } from '../../git/filesystem/byte-path.js'
import { realPath } from '../../git/filesystem/real-path.js'
import { pathWithin } from '../../git/filesystem/path-within.js'
import type { RepositoryRefusal } from '../../git/state/repository.js'

/** A path below the root that looks like a repository and is not served. */
export interface Unserved {
  /** Relative to the root; '' is the root. */
  readonly path: string
  readonly reason: string
}

/**
 * Finds paths below the root that are not served although they look like repositories: directories that cannot be read,
 * damaged repositories, and links to repositories outside of the root.
 * @param found paths of repositories and links that are skipped, with what is inside of them
 */
export function* findUnserved(root: string, found: ReadonlySet<string>, path = ''): Generator<Unserved> {
  if (found.has(path)) return
  const here = join(root, path)
  let entries
  try {
    entries = readdirSync(systemPath(here), { withFileTypes: true, encoding: 'buffer' })
      .map((entry) => ({ entry, name: pathText(entry.name) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    yield { path, reason: `cannot be read: ${codeOf(error)}; repositories in it are not served` }
    return
  }
  const damage = looksLikeRepository(here) ? unservedReason(root, path) : undefined
  if (damage !== undefined) {
    yield { path, reason: damage }
    return
  }
  for (const { entry, name } of entries) {
    const below = path === '' ? name : `${path}/${name}`
    if (entry.isDirectory()) yield* findUnserved(root, found, below)
    else if (entry.isSymbolicLink() && !found.has(below)) {
      const outside = leadsOut(root, join(root, below))
      if (outside !== undefined && looksLikeRepository(outside))
        yield { path: below, reason: linkReason(outside) }
    }
  }
}

/** Describes why no repository is served at a path. @param refused why refstream does not serve what is there */
export function unservedReason(root: string, path: string, refused?: RepositoryRefusal): string {
  if (refused === 'nested')
    return 'not served: it contains another repository as .git, which Git would use instead'
  const reason = filesReason(root, path)
  if (refused !== 'outside' || reason.startsWith('outside')) return reason
  return 'not served: a link in it (refs, objects …) or its commondir leads out of the root; to share objects, use objects/info/alternates'
}

function filesReason(root: string, path: string): string {
  const base = join(root, path)
  for (const candidate of [base, `${base}.git`]) {
    const outside = leadsOut(root, candidate)
    if (outside !== undefined) return linkReason(outside)
    try {
      if (!statSync(systemPath(candidate), { throwIfNoEntry: false })) continue
      for (const part of ['', 'HEAD', 'objects', 'refs']) {
        const file = systemPath(join(candidate, part))
        if (statSync(file, { throwIfNoEntry: false })) accessSync(file, constants.R_OK)
      }
    } catch (error) {
      const { path: at = candidate } = error as NodeJS.ErrnoException
      return `cannot be read: ${codeOf(error)} at ${at}`
    }
    return looksLikeRepository(candidate)
      ? 'not a repository that Git accepts: its HEAD, objects or refs are damaged'
      : 'not a repository: another file or directory has this path'
  }
  return 'no repository'
}

const linkReason = (target: string): string =>
  `outside of the root, at ${target}, and so not served; serve a root that contains both, or move it below the root`

/** Returns the real path of a path if it is not below the root. */
function leadsOut(root: string, path: string): string | undefined {
  try {
    const real = realPath(path)
    return pathWithin(root, real) === undefined ? real : undefined
  } catch {
    return undefined
  }
}

/** Returns whether a directory, or its `.git`, has the parts of a repository (gitrepository-layout(5)). */
const looksLikeRepository = (directory: string): boolean =>
  [directory, join(directory, '.git')].some((each) =>
    ['HEAD', 'objects', 'refs'].every((part) => isThere(join(each, part))),
  )

function isThere(path: string): boolean {
  try {
    return statSync(systemPath(path), { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error)
