import { lstatSync, readFileSync, readlinkSync, realpathSync, statSync, type BigIntStats } from 'node:fs'
import { dirname, isAbsolute, relative, sep } from 'node:path'
import type { Look } from './look.js'

/** A repository on this disk; both paths are absolute and free of links. */
export interface Repository {
  /** Where HEAD is: `x.git`, `x/.git`, or `x/.git/worktrees/y` for a linked worktree. */
  readonly gitDir: string
  /** Where the refs are that worktrees share; mostly the same. */
  readonly commonDir: string
}

/** In Git's order (path.c, enter_repo). */
const suffixes = ['/.git', '', '.git/.git', '.git']

/**
 * Finds the repository that a path below the root means, as Git's enter_repo() does, with one condition more: neither
 * it nor its common directory may lie outside the root, by whatever link or gitfile (R8).
 * `path` is decoded and relative to the root; see `decodeRepositoryPath`.
 */
export function enterRepo(look: Look, root: string, path: string): Repository | undefined {
  const base = path === '' ? root : `${root}/${path}`
  for (const suffix of suffixes) {
    const candidate = base + suffix
    const stats = statOf(candidate)
    if (!stats) continue
    const directory = stats.isFile() ? readGitfile(look, candidate, stats) : candidate
    const repository = directory === undefined ? undefined : repositoryIn(look, directory)
    // The first that Git would take decides: to pass over one that may not be served would be to serve another one.
    if (repository) return mayBeServed(look, root, repository) ? repository : undefined
    if (stats.isFile()) return undefined
  }
  return undefined
}

/** A directory that does not exist, or that may not be entered, is no repository; Git says 404 to both. */
function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/** The directory that a gitfile names (gitrepository-layout(5)). */
function readGitfile(look: Look, path: string, stats: BigIntStats): string | undefined {
  if (stats.size > 8192n) return undefined
  try {
    const text = look.derive('gitfile', path, stats, () => readFileSync(path, 'utf8'))
    const target = /^gitdir: ([^\0]+?)[\r\n]*$/.exec(text)?.[1]
    return target === undefined ? undefined : from(dirname(path), target)
  } catch {
    return undefined
  }
}

/** A path as seen from a directory. Not normalized: a `..` after a link means the parent of its target. */
const from = (directory: string, path: string): string => (isAbsolute(path) ? path : `${directory}/${path}`)

/** Whether a repository is below the root, and is itself what Git enters when it is given the path of its gitDir. */
function mayBeServed(look: Look, root: string, { gitDir, commonDir }: Repository): boolean {
  if (!isBelow(root, gitDir) || !isBelow(root, commonDir)) return false
  const nested = statOf(`${gitDir}/.git`)
  return !nested || (!nested.isFile() && repositoryIn(look, `${gitDir}/.git`) === undefined)
}

/** The repository in a directory, if there is one. */
function repositoryIn(look: Look, directory: string): Repository | undefined {
  try {
    const gitDir = realpathSync.native(directory)
    const commonDir = commonDirOf(look, gitDir)
    if (!headIsValid(look, `${gitDir}/HEAD`)) return undefined
    const hasParts = ['objects', 'refs'].every((part) => statOf(`${commonDir}/${part}`)?.isDirectory())
    return hasParts ? { gitDir, commonDir } : undefined
  } catch {
    return undefined
  }
}

const isBelow = (root: string, path: string): boolean =>
  path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)

function commonDirOf(look: Look, gitDir: string): string {
  const path = `${gitDir}/commondir`
  const stats = statOf(path)
  if (!stats?.isFile()) return gitDir
  const text = look.derive('commondir', path, stats, () => readFileSync(path, 'utf8'))
  return realpathSync.native(from(gitDir, text.replace(/[\r\n]+$/, '')))
}

/** As setup.c, validate_headref: a link or a symref into refs/, or an object id. */
function headIsValid(look: Look, path: string): boolean {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (!stats) return false
  if (stats.isSymbolicLink()) return readlinkSync(path).startsWith('refs/')
  // Reading anything else (a pipe) might never end.
  if (!stats.isFile()) return false
  return look.derive('HEAD', path, stats, () =>
    /^(ref:\s*refs\/|[0-9a-fA-F]{40})/.test(readFileSync(path, 'latin1')),
  )
}

/**
 * An absolute path, relative to the root, which is itself free of links; '' is the root. Links are followed: undefined
 * for what does not exist, may not be entered, or lies outside.
 */
export function pathBelow(root: string, path: string): string | undefined {
  try {
    const below = relative(root, realpathSync.native(path))
    return below === '..' || below.startsWith('../') ? undefined : below
  } catch {
    return undefined
  }
}

/**
 * The path of a repository as a URL gives it: percent-decoded once. undefined for what no repository's path can be and
 * what tries to be another one's; see `isRepositoryPath`.
 */
export function decodeRepositoryPath(encoded: string): string | undefined {
  let path: string
  try {
    path = decodeURIComponent(encoded)
  } catch {
    return undefined
  }
  if (path === '') return ''
  const below = path.replace(/^\//, '')
  return isRepositoryPath(below) ? below : undefined
}

/** Can this be the path of something below the root? Not with `..`, `.`, empty components or NUL in it (R8). */
export function isRepositoryPath(path: string): boolean {
  return path.split('/').every((name) => !['', '.', '..'].includes(name) && !name.includes('\0'))
}
