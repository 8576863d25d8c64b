import { readlinkSync, type BigIntStats } from 'node:fs'
import { systemPath } from '../filesystem/byte-path.js'
import { OpenDirectory } from '../filesystem/open-directory.js'
import { RemotePath } from '../filesystem/path-guard.js'
import { readRegularFile } from '../filesystem/read-file.js'
import { statOf } from '../filesystem/stat-of.js'
import { isTransient } from '../filesystem/system-errors.js'
import { readCommonDir, readGitfile } from './gitfile.js'
import type { RepositoriesRoot } from './repositories-root.js'
import { followLinks, owningRepository, type OpenPart } from './repository-links.js'
import type { OpenRepository, Repository, RepositoryRefusal } from './repository.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** In the order in which Git tries them (path.c, enter_repo). */
const suffixes = ['/.git', '', '.git/.git', '.git']

/**
 * Opens the repository that a path below the root means, as Git's enter_repo() does (path.c), with one more condition:
 * neither it, nor its common directory, nor what its links lead to may lie outside the root, by any link or gitfile (R8).
 * @param path decoded and relative to the root; see `decodeRepositoryPath`
 * @param refused called with why something that is there is not served, and the suffix of the path it was found by
 * @throws RemotePath if the snapshot has a guard
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
    const stats = statOf(systemPath(candidate), failed)
    if (!stats) continue
    const target = stats.isFile() ? readGitfile(snapshot, candidate, stats) : candidate
    if (target !== undefined && target !== candidate) snapshot.guard?.check(target)
    const repository = target === undefined ? undefined : openAt(snapshot, root, target, failed)
    // The first candidate that Git would use decides, even if it is refused: skipping it would serve another repository.
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

/** May this process not read it, where Git may not either? */
const isDenied = (error: unknown): boolean =>
  ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')

/** Opens the repository in a directory whose path was checked; undefined: there is none. */
function openAt(
  snapshot: StatSnapshot,
  root: RepositoriesRoot,
  path: string,
  failed?: (error: unknown) => void,
): OpenRepository | RepositoryRefusal | undefined {
  const opened: OpenDirectory[] = []
  const close = (): void => opened.splice(0).forEach((directory) => directory.close())
  const open: OpenPart = (path, real) => {
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
    // What may not be entered or read is no repository, as for Git.
    if (error instanceof RemotePath || isTransient(error)) {
      close()
      throw error
    }
    failed?.(error)
  }
  if (typeof found !== 'object') close()
  return found
}

function inspect(
  snapshot: StatSnapshot,
  root: RepositoriesRoot,
  path: string,
  open: OpenPart,
  close: () => void,
): OpenRepository | RepositoryRefusal | undefined {
  const git = open(systemPath(path))
  const common = git && openCommonDir(snapshot, git, open)
  const head = common && readHead(snapshot, git)
  if (!head) return undefined
  const refs = snapshot.lstat(common.at('refs'))
  // The directory's own timestamps tell that `objects` is still a directory.
  const isPlain = snapshot.entries(common)?.get('objects') === 'directory'
  const objects = isPlain ? undefined : snapshot.lstat(common.at('objects'))
  if (!refs || !(isPlain || objects)) return undefined
  const stats = {
    HEAD: head,
    refs,
    'packed-refs': snapshot.lstatIn(common, 'packed-refs'),
    reftable: snapshot.lstatIn(common, 'reftable'),
  }
  const shared = followLinks(common, { ...(objects ? { objects } : {}), ...stats }, open)
  const own = common === git ? [] : followLinks(git, ownParts(snapshot, git), open, [])
  if (!shared || !own) return undefined
  const linked = [...shared, ...own]

  const places = [git.path, common.path, ...linked]
  const names = root.namesOf(places)
  if (!names) return 'outside'
  const [gitName, commonName, ...linkNames] = names as [string, string, ...string[]]
  const linkedNames = linkNames.map((name, index) => owningRepository(linked[index]!, name))
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
  return { repository, git, common, stats, allowedLinkTargets: [...new Set(places)], close }
}

/** A linked worktree has refs of its own, which a repository need not have. */
const ownParts = (snapshot: StatSnapshot, git: OpenDirectory): Record<string, BigIntStats | undefined> => ({
  refs: snapshot.lstatIn(git, 'refs'),
  reftable: snapshot.lstatIn(git, 'reftable'),
})

/** Is there a `.git` in it that Git would enter instead when it is given the repository's path? */
function hasNested(snapshot: StatSnapshot, root: RepositoriesRoot, git: OpenDirectory): boolean {
  const { path, real } = git.at('.git')
  snapshot.guard?.check(real!)
  const stats = statOf(path)
  if (!stats) return false
  if (stats.isFile()) return true
  const nested = openAt(snapshot, root, `${git.path}/.git`)
  if (typeof nested === 'object') nested.close()
  return nested !== undefined
}

function openCommonDir(
  snapshot: StatSnapshot,
  git: OpenDirectory,
  open: OpenPart,
): OpenDirectory | undefined {
  const link = readCommonDir(snapshot, git)
  return link ? open(link.path, link.real) : git
}

/** Returns the stat of HEAD if it is valid (setup.c, validate_headref): a link or a symref into refs/, or an object id. */
function readHead(snapshot: StatSnapshot, git: OpenDirectory): BigIntStats | undefined {
  const place = git.at('HEAD')
  const stats = snapshot.lstat(place)
  if (stats?.isSymbolicLink()) return readlinkSync(place.path).startsWith('refs/') ? stats : undefined
  // Reading anything else (a pipe) might never end.
  if (!stats?.isFile()) return undefined
  const valid = snapshot.derive('HEAD', place, stats, () =>
    /^(ref:\s*refs\/|[0-9a-fA-F]{40})/.test(readRegularFile(place.path).toString('latin1')),
  )
  return valid ? stats : undefined
}
