import { lstatSync, readlinkSync, statSync, type BigIntStats } from 'node:fs'
import { dirname, isAbsolute } from 'node:path'
import { isTransient, throwIfTransient } from '../filesystem/system-errors.js'
import { pathText, systemPath } from '../filesystem/byte-path.js'
import type { StatSnapshot } from './stat-snapshot.js'
import { OpenDirectory } from '../filesystem/open-directory.js'
import { RemotePath, type PathGuard } from '../filesystem/path-guard.js'
import { readRegularFile } from '../filesystem/read-file.js'
import { realPath } from '../filesystem/real-path.js'
import { nameBelow, type RepositoriesRoot } from './repositories-root.js'

/** A repository on this disk, as a path meant it at one moment. Paths are absolute and free of links. */
export interface Repository {
  /** Where HEAD is: `x.git`, `x/.git`, or `x/.git/worktrees/y` for a linked worktree. */
  readonly gitDir: string
  /** Where the refs are that worktrees share; mostly the same. */
  readonly commonDir: string
  /** `gitDir` and `commonDir` relative to the root; empty for the root itself. */
  readonly gitName: string
  readonly commonName: string
  /** The repositories, or mere directories, that its links lead into, as the same names. */
  readonly linkedNames: readonly string[]
  /** Of these directories and no others, whatever the paths come to mean; see `OpenDirectory`. */
  readonly gitIdentity: string
  readonly commonIdentity: string
}

/** Why a path means no repository that is served, although something is there. */
export type RepositoryRefusal = 'outside' | 'nested' | 'unreadable'

/** A repository whose directories are held open. Whoever gets one closes it. */
export interface OpenRepository {
  readonly repository: Repository
  readonly git: OpenDirectory
  /** The same as `git` where there is but one directory. */
  readonly common: OpenDirectory
  /** What these are, links not followed. */
  readonly stats: Readonly<Record<'HEAD' | 'refs', BigIntStats>> &
    Readonly<Record<'packed-refs' | 'reftable', BigIntStats | undefined>>
  /** Directories, absolute and free of links, that what refs are read from may lie in. */
  readonly homes: readonly string[]
  close(): void
}

/** In Git's order (path.c, enter_repo). */
const suffixes = ['/.git', '', '.git/.git', '.git']

/**
 * Opens the repository that a path below the root means, as Git's enter_repo() does, with one condition more: neither
 * it, nor its common directory, nor what its links lead to may lie outside the root, by whatever link or gitfile (R8).
 * `path` is decoded and relative to the root; see `decodeRepositoryPath`.
 * @param refused told why something that is there is not served, and what stands behind the path that it was found by
 * @throws RemotePath if the look has a guard
 */
export function openRepository(
  snapshot: StatSnapshot,
  root: RepositoriesRoot,
  path: string,
  refused: (why: RepositoryRefusal, suffix: string) => void = () => {},
): OpenRepository | undefined {
  const base = path === '' ? root.path : `${root.path}/${path}`
  let unreadable: string | undefined
  for (const suffix of suffixes) {
    const candidate = base + suffix
    const failed = (error: unknown): void => {
      if (isDenied(error)) unreadable ??= suffix
    }
    snapshot.guard?.check(candidate)
    const stats = snapshotStatOf(systemPath(candidate), failed)
    if (!stats) continue
    const target = stats.isFile() ? readGitfile(snapshot, candidate, stats) : candidate
    if (target !== undefined && target !== candidate) snapshot.guard?.check(target)
    const repository = target === undefined ? undefined : openAt(snapshot, root, target, failed)
    // The first that Git would take decides: to pass over one that may not be served would be to serve another one.
    if (typeof repository === 'object') return repository
    if (repository) {
      refused(repository, suffix)
      return undefined
    }
    if (stats.isFile()) break
  }
  if (unreadable !== undefined) refused('unreadable', unreadable)
  return undefined
}

/** May this process not do it, where Git may not either? */
const isDenied = (error: unknown): boolean =>
  ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')

/** The path of a repository means another one by now, or none. */
export class RepositoryExchanged extends Error {
  override readonly name = 'RepositoryExchanged'
  override readonly message = 'the repository was exchanged while it was about to be read'
}

/**
 * Opens the directories of a repository again. Whoever gets them closes them.
 * @throws RepositoryExchanged if they are not the same as before, RemotePath
 */
export function reopenRepository(
  repository: Repository,
  guard?: PathGuard,
): Pick<OpenRepository, 'git' | 'common' | 'close'> {
  const { gitDir, gitIdentity, commonDir, commonIdentity } = repository
  guard?.check(gitDir)
  guard?.check(commonDir)
  const git = OpenDirectory.open(systemPath(gitDir))
  let common = git
  const close = (): void => {
    git?.close()
    if (common !== git) common?.close()
  }
  if (commonDir !== gitDir) {
    try {
      common = OpenDirectory.open(systemPath(commonDir))
    } catch (error) {
      close()
      throw error
    }
  }
  if (git?.identity === gitIdentity && common?.identity === commonIdentity) return { git, common, close }
  close()
  throw new RepositoryExchanged()
}

/** One text for all that must be the same if a repository is. */
export const identityOf = (repository: Repository): string => {
  const { gitIdentity, commonIdentity, commonName, linkedNames } = repository
  return [gitIdentity, commonIdentity, commonName, ...linkedNames].join(' ')
}

/** A directory that does not exist, or that may not be entered, is no repository; Git says 404 to both. */
function snapshotStatOf(path: string | Buffer, failed?: (error: unknown) => void): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch (error) {
    throwIfTransient(error)
    failed?.(error)
    return undefined
  }
}

/** The directory that a gitfile names (gitrepository-layout(5)). */
function readGitfile(snapshot: StatSnapshot, path: string, stats: BigIntStats): string | undefined {
  if (stats.size > 8192n) return undefined
  try {
    const text = snapshot.derive('gitfile', { name: path, path }, stats, () => readText(systemPath(path)))
    const target = /^gitdir: ([^\0]+?)[\r\n]*$/.exec(text)?.[1]
    return target === undefined ? undefined : from(dirname(path), target)
  } catch (error) {
    throwIfTransient(error)
    return undefined
  }
}

const readText = (path: string | Buffer): string => pathText(readRegularFile(path))

/** A path as seen from a directory. Not normalized: a `..` after a link means the parent of its target. */
const from = (directory: string, path: string): string => (isAbsolute(path) ? path : `${directory}/${path}`)

/** The repository in a directory, whose path was checked; undefined: there is none. */
function openAt(
  snapshot: StatSnapshot,
  root: RepositoriesRoot,
  path: string,
  failed?: (error: unknown) => void,
): OpenRepository | RepositoryRefusal | undefined {
  const opened: OpenDirectory[] = []
  const close = (): void => opened.splice(0).forEach((directory) => directory.close())
  const open: Open = (path, real) => {
    if (real !== undefined) snapshot.guard?.check(real)
    const directory = OpenDirectory.open(path)
    if (directory) {
      opened.push(directory)
      snapshot.guard?.checkBelow(directory.path)
    }
    return directory
  }
  let found: OpenRepository | RepositoryRefusal | undefined
  try {
    found = inspect(snapshot, root, path, open, close)
  } catch (error) {
    // What may not be entered or read is none, as for Git.
    if (error instanceof RemotePath || isTransient(error)) {
      close()
      throw error
    }
    failed?.(error)
  }
  if (typeof found !== 'object') close()
  return found
}

/** `real`: where it is, by names; left out: that was checked. */
type Open = (path: string | Buffer, real?: string) => OpenDirectory | undefined

function inspect(
  snapshot: StatSnapshot,
  root: RepositoriesRoot,
  path: string,
  open: Open,
  close: () => void,
): OpenRepository | RepositoryRefusal | undefined {
  const git = open(systemPath(path))
  const common = git && openCommonDir(snapshot, git, open)
  const head = common && readHead(snapshot, git)
  if (!head) return undefined
  const refs = snapshot.peek(common.at('refs'))
  // A directory's own timestamps tell that this one is still the same kind of thing.
  const isPlain = snapshot.entries(common)?.get('objects') === 'directory'
  const objects = isPlain ? undefined : snapshot.peek(common.at('objects'))
  if (!refs || !(isPlain || objects)) return undefined
  const stats = {
    HEAD: head,
    refs,
    'packed-refs': snapshot.peekIn(common, 'packed-refs'),
    reftable: snapshot.peekIn(common, 'reftable'),
  }
  const shared = followLinks(common, { ...(objects ? { objects } : {}), ...stats }, open)
  // A linked worktree has refs of its own, which are none that a repository must have.
  const ownParts = { refs: snapshot.peekIn(git, 'refs'), reftable: snapshot.peekIn(git, 'reftable') }
  const own = common === git ? [] : followLinks(git, ownParts, open, [])
  if (!shared || !own) return undefined
  const linked = [...shared, ...own]

  const names = namesBelow(root, [git.path, common.path, ...linked.map(({ path }) => path)])
  if (!names) return 'outside'
  const [gitName, commonName, ...places] = names as [string, string, ...string[]]
  const linkedNames = places.map((name, index) => homeOf(linked[index]!.path, name))
  if ((snapshot.entries(git)?.has('.git') ?? true) && hasNested(snapshot, root, git)) return 'nested'
  const repository: Repository = {
    gitDir: git.path,
    commonDir: common.path,
    gitName,
    commonName,
    linkedNames,
    gitIdentity: git.identity,
    commonIdentity: common.identity,
  }
  const homes = [...new Set([git.path, common.path, ...linked.map(({ path }) => path)])]
  return { repository, git, common, stats, homes, close }
}

/** The name of the repository that a place lies in, or of the place itself if it lies in none. */
function homeOf(path: string, name: string): string {
  const root = path.slice(0, path.length - name.length)
  for (let home = name; ; home = dirname(home)) {
    if (isRepositoryLike(`${root}${home === '.' ? '' : home}`)) return home === '.' ? '' : home
    if (home === '.' || home === '') return name
  }
}

function isRepositoryLike(directory: string): boolean {
  const options = { throwIfNoEntry: false } as const
  try {
    return ['HEAD', 'objects', 'refs'].every((part) => lstatSync(systemPath(`${directory}/${part}`), options))
  } catch (error) {
    throwIfTransient(error)
    return false
  }
}

/** Where the links lead that stand for parts of a repository; undefined: it is none, for one leads nowhere. */
function followLinks(
  common: OpenDirectory,
  parts: Readonly<Record<string, BigIntStats | undefined>>,
  open: Open,
  requiredParts: readonly string[] = ['objects', 'refs'],
): { readonly path: string }[] | undefined {
  const linked: { readonly path: string }[] = []
  for (const [part, stats] of Object.entries(parts)) {
    const required = requiredParts.includes(part)
    if (required && !stats?.isDirectory() && !stats?.isSymbolicLink()) return undefined
    // What a symbolic HEAD points to is a ref (setup.c, validate_headref).
    if (!stats?.isSymbolicLink() || part === 'HEAD') continue
    const { path } = common.at(part)
    const directory = open(path, `${common.path}/${part}`)
    if (directory) linked.push(directory)
    else if (required) return undefined
    else linked.push({ path: targetOf(path) ?? `${common.path}/${part}` })
  }
  return linked.filter(({ path }) => nameBelow(common.path, path) === undefined)
}

/**
 * The names of places below the root, as paths from there; undefined: one lies outside. The root may have moved since it
 * was resolved: before one counts as outside, it is again.
 */
function namesBelow(root: RepositoriesRoot, paths: readonly string[]): string[] | undefined {
  return namesFrom(root.plain, paths) ?? namesFrom(root.real(), paths) ?? namesFrom(root.resolve(), paths)
}

function namesFrom(root: string | undefined, paths: readonly string[]): string[] | undefined {
  if (root === undefined) return undefined
  const names = paths.map((path) => nameBelow(root, path))
  return names.every((name) => name !== undefined) ? names : undefined
}

/** Is it something else that Git enters when it is given a repository's path? */
function hasNested(snapshot: StatSnapshot, root: RepositoriesRoot, git: OpenDirectory): boolean {
  const { path, real } = git.at('.git')
  snapshot.guard?.check(real!)
  const stats = snapshotStatOf(path)
  if (!stats) return false
  if (stats.isFile()) return true
  const nested = openAt(snapshot, root, `${git.path}/.git`)
  if (typeof nested === 'object') nested.close()
  return nested !== undefined
}

function openCommonDir(snapshot: StatSnapshot, git: OpenDirectory, open: Open): OpenDirectory | undefined {
  if (snapshot.entries(git)?.has('commondir') === false) return git
  const place = git.at('commondir')
  snapshot.guard?.check(place.real!)
  const stats = snapshotStatOf(place.path)
  if (!stats?.isFile()) return git
  const text = snapshot.derive('commondir', place, stats, () => readText(place.path).replace(/[\r\n]+$/, ''))
  const path = isAbsolute(text) ? text : `${git.workingDirectory}/${text}`
  return open(systemPath(path), from(git.path, text))
}

/** HEAD, if it is one (setup.c, validate_headref): a link or a symref into refs/, or an object id. */
function readHead(snapshot: StatSnapshot, git: OpenDirectory): BigIntStats | undefined {
  const place = git.at('HEAD')
  const stats = snapshot.peek(place)
  if (stats?.isSymbolicLink()) return readlinkSync(place.path).startsWith('refs/') ? stats : undefined
  // Reading anything else (a pipe) might never end.
  if (!stats?.isFile()) return undefined
  const valid = snapshot.derive('HEAD', place, stats, () =>
    /^(ref:\s*refs\/|[0-9a-fA-F]{40})/.test(readRegularFile(place.path).toString('latin1')),
  )
  return valid ? stats : undefined
}

function targetOf(path: string | Buffer): string | undefined {
  try {
    return realPath(path)
  } catch (error) {
    throwIfTransient(error)
    return undefined
  }
}

/**
 * The path of a repository as a URL gives it: percent-decoded once, slashes in a row taken for one, as web servers do.
 * Bytes that are no UTF-8 are kept, see `pathText`. undefined for what no repository's path can be and what tries to be
 * another one's; see `isRepositoryPath`.
 */
export function decodeRepositoryPath(encoded: string): string | undefined {
  const bytes = decodePercent(encoded)
  if (!bytes) return undefined
  const path = pathText(bytes)
    .replace(/\/{2,}/g, '/')
    .replace(/^\/|\/$/g, '')
  return path === '' || isRepositoryPath(path) ? path : undefined
}

/** undefined: a percent sign without two digits behind it (RFC 3986, section 2.1). */
function decodePercent(encoded: string): Buffer | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(encoded)) return undefined
  // What is not encoded is ASCII, or bytes as Latin-1 (node:http).
  const decoded = encoded.replace(/%(..)/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)))
  return Buffer.from(decoded, 'latin1')
}

/** Most bytes of a repository's path: no filesystem takes more (PATH_MAX of Linux). */
export const repositoryPathMax = 4096

/** Can this be the path of something below the root? Not with `..`, `.`, empty components or NUL in it (R8). */
export function isRepositoryPath(path: string): boolean {
  return path.split('/').every((name) => !['', '.', '..'].includes(name) && !name.includes('\0'))
}
