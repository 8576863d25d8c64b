import { statSync } from 'node:fs'
import type { PathGuard } from '../filesystem/path-guard.js'
import { pathWithin } from '../filesystem/path-within.js'
import { realPath } from '../filesystem/real-path.js'

/**
 * The directory below which repositories are served, and the place where it is decided that a path lies inside it (R8).
 *
 * What keeps a request inside the root, in the order of a request:
 * 1. `decodeRepositoryPath` (repository-path.ts) refuses `..`, `.`, empty components and NUL in the path of a URL.
 * 2. `openRepository` (open-repository.ts) follows links, gitfiles and `commondir` as Git does, opens each directory
 *    once, and asks the kernel where the open directory is. A path that is exchanged later changes nothing.
 * 3. `namesOf`, here, compares where these directories really are with where the root really is. If one is outside, the
 *    repository is refused as 'outside'.
 * 4. `RefsWalk` (refs-walk.ts) refuses links below refs/ that lead out of the repository, or without `--access`, out of
 *    the root; `findObjectDirectories` (object-directories.ts) refuses object directories outside of the repository.
 * 5. `spawnIn` (process/git-in-repository.ts) starts Git in the directory that was checked, or not at all.
 *
 * The root's own path may lead through links that are moved while refstream runs (a deployment, git-sync), so each
 * request resolves it.
 */
export class RepositoriesRoot {
  /** As it was given: absolute, with the links in it. */
  readonly path: string
  readonly #guard: () => PathGuard | undefined
  /** Device and inode of the directory that `#real` was resolved for. */
  #identity = ''
  #real = ''

  /** @param guard checks the root's path before it is used */
  constructor(path: string, guard: () => PathGuard | undefined = () => undefined) {
    this.path = path
    this.#guard = guard
  }

  /**
   * Returns where the root is now: absolute and free of links; undefined: there is no such directory, or it may not be
   * entered.
   * @throws RemotePath
   */
  real(): string | undefined {
    this.#guard()?.checkOnce(this.path)
    try {
      const stats = statSync(this.path, { bigint: true, throwIfNoEntry: false })
      if (!stats?.isDirectory()) return undefined
      const identity = `${stats.dev}:${stats.ino}`
      return identity === this.#identity ? this.#real : this.#resolve(identity)
    } catch {
      return undefined
    }
  }

  /** The same without a wait: if the root is on a mount that may hang, where it was when it was resolved last. */
  get latest(): string | undefined {
    try {
      return this.real()
    } catch {
      return this.#real || undefined
    }
  }

  /** Sets where another process has found the root. */
  learn(real: string): void {
    this.#real = real
  }

  /** The same as `real`, resolved anew: a directory may have been renamed, and be the same directory. */
  resolve(): string | undefined {
    this.#identity = ''
    return this.real()
  }

  #resolve(identity: string): string {
    this.#real = realPath(this.path)
    this.#identity = identity
    return this.#real
  }

  /**
   * Returns the paths from the root to these places; undefined: at least one lies outside. The root may have moved since
   * it was resolved, so a place counts as outside only after the root was resolved again.
   * @param places absolute and free of links
   * @throws RemotePath
   */
  namesOf(places: readonly string[]): string[] | undefined {
    // A root without links on its path needs no system call: what is really below that path is below the root.
    const plain = this.#real === this.path ? this.path : undefined
    return (
      namesWithin(plain, places) ?? namesWithin(this.real(), places) ?? namesWithin(this.resolve(), places)
    )
  }

  /**
   * Returns the path from the root to an absolute path; '' is the root. Links are followed: undefined for what does not
   * exist, may not be entered, or lies outside.
   * @throws RemotePath
   */
  relative(path: string): string | undefined {
    const root = this.resolve()
    this.#guard()?.check(path)
    try {
      return root === undefined ? undefined : pathWithin(root, realPath(path))
    } catch {
      return undefined
    }
  }
}

function namesWithin(root: string | undefined, places: readonly string[]): string[] | undefined {
  if (root === undefined) return undefined
  const names = places.map((place) => pathWithin(root, place))
  return names.every((name) => name !== undefined) ? names : undefined
}
