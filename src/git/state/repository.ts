import type { BigIntStats } from 'node:fs'
import type { OpenDirectory } from '../filesystem/open-directory.js'

/** A repository on this disk, as a path meant it at one moment. Paths are absolute and free of links. */
export interface Repository {
  /** Where HEAD is: `x.git`, `x/.git`, or `x/.git/worktrees/y` for a linked worktree. */
  readonly gitDir: string
  /** Where the refs are that worktrees share; mostly the same (gitrepository-layout(5), "commondir"). */
  readonly commonDir: string
  /** `gitDir` and `commonDir` relative to the root; empty for the root itself. */
  readonly gitName: string
  readonly commonName: string
  /** The repositories, or mere directories, that its links lead into, relative to the root as well. */
  readonly linkedNames: readonly string[]
  /** Identities of these directories, valid even if their paths are renamed, relinked or mounted over; see `OpenDirectory`. */
  readonly gitIdentity: string
  readonly commonIdentity: string
}

/** Returns a text that is equal for equal repositories: all that must stay the same if a repository does. */
export const identityOf = (repository: Repository): string => {
  const { gitIdentity, commonIdentity, commonName, linkedNames } = repository
  return [gitIdentity, commonIdentity, commonName, ...linkedNames].join(' ')
}

/** Why the repository at a path is not served. */
export type RepositoryRefusal = 'outside' | 'nested' | 'unreadable'

/** A repository whose directories are held open, to be closed by the caller that receives it. */
export interface OpenRepository {
  readonly repository: Repository
  readonly git: OpenDirectory
  /** The same object as `git` if there is only one directory. */
  readonly common: OpenDirectory
  /** Stat results of its parts, links not followed. */
  readonly stats: Readonly<Record<'HEAD' | 'refs', BigIntStats>> &
    Readonly<Record<'packed-refs' | 'reftable', BigIntStats | undefined>>
  /** Directories, absolute and free of links, in which files with refs may lie. */
  readonly allowedLinkTargets: readonly string[]
  close(): void
}
