import { statSync } from 'node:fs'
import type { PathGuard } from '../filesystem/path-guard.js'
import { realPath } from '../filesystem/real-path.js'

/**
 * The directory below which repositories are served. Its path may lead through links that are moved while refstream
 * runs (a deployment, git-sync): each request sees what it means then.
 */
export class RepositoriesRoot {
  /** As it was given: absolute, with the links in it. */
  readonly path: string
  readonly #guard: () => PathGuard | undefined
  #identity = ''
  #real = ''

  /** @param guard asked before the root is touched */
  constructor(path: string, guard: () => PathGuard | undefined = () => undefined) {
    this.path = path
    this.#guard = guard
  }

  /**
   * Where it is now: absolute and free of links; undefined: there is no such directory, or it may not be entered.
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

  /**
   * Its path, if there were no links in it when it was resolved. What is really below that is below the root, and costs no
   * system call to know; of what is not, `real` must be asked.
   */
  get plain(): string | undefined {
    return this.#real === this.path ? this.path : undefined
  }

  /** As real(), without a wait: if the root is on a mount that may hang, where it was when it was asked for last. */
  get latest(): string | undefined {
    try {
      return this.real()
    } catch {
      return this.#real || undefined
    }
  }

  /** Tells where another process has found it. */
  learn(real: string): void {
    this.#real = real
  }

  /** The same, resolved anew: a directory may have another name than a moment ago, and be the same. */
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
   * An absolute path as one relative to the root; '' is the root. Links are followed: undefined for what does not exist,
   * may not be entered, or lies outside.
   * @throws RemotePath
   */
  relative(path: string): string | undefined {
    const root = this.resolve()
    this.#guard()?.check(path)
    try {
      return root === undefined ? undefined : nameBelow(root, realPath(path))
    } catch {
      return undefined
    }
  }
}

/** The path from a root to something at or below it; both absolute and free of links. undefined: it lies outside. */
export function nameBelow(root: string, path: string): string | undefined {
  if (path === root) return ''
  const start = root === '/' ? root : `${root}/`
  return path.startsWith(start) ? path.slice(start.length) : undefined
}
