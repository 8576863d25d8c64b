import { findProgram } from '../git/installation.js'
import { createLookMemory, Look } from '../git/look.js'
import { findObjectDirectories, type ObjectDirectories } from '../git/object-directories.js'
import type { PathGuard } from '../git/path-guard.js'
import {
  lookAtRefs,
  lookAtRepository,
  type LookSettings,
  type RepositoryState,
  type SeenRefs,
} from '../git/ref-state.js'
import { visitDirectory, type Visit } from '../git/repositories.js'
import type { RepositoriesRoot } from '../git/repositories-root.js'
import { enterRepo, type OpenRepository, type Refusal, type Repository } from '../git/repository.js'
import type { ModeDecision, Modes } from './modes.js'

export interface DiskOptions {
  readonly root: RepositoriesRoot
  /** Most directories under a repository's refs/ that a look may take in, unless the mode is configured. */
  readonly directoriesMax: number
  /** Most loose refs that a look checks one by one, for writers that do not replace but overwrite them. */
  readonly looseRefsMax: number
  /** May links under refs/ lead to all that is below the root? Otherwise only where access is checked for. */
  readonly linksAnywhere: boolean
  /** Asked before anything is touched; left out: there is nothing to fear. */
  readonly guard?: () => PathGuard | undefined
}

/** The repository that a path means. */
export interface Found {
  readonly repository: Repository | undefined
  /** Why something that is there is not served. */
  readonly refused: Refusal | undefined
}

/** What the disk shows of a repository. */
export interface DiskLook {
  /** undefined: there is none that is served. */
  readonly seen:
    | {
        readonly state: RepositoryState
        readonly decision: ModeDecision
        /** undefined: leases decide. 'directories': the same, since just now. */
        readonly refs: SeenRefs | 'directories' | undefined
      }
    | undefined
  readonly refused: Refusal | undefined
  /** Milliseconds by which the youngest timestamp is ahead of the clock. */
  readonly aheadMs: number
}

/** What a look must know of the Git in use. */
export type GitFacts = Omit<LookSettings, 'root'>

/**
 * All questions whose answers are on the disk. Arguments and answers are plain data, and nothing stays open: where the
 * disk may not answer, another process asks; see `Disks`. Each throws RemotePath if the guard stops it.
 */
export class Disk {
  readonly #options: DiskOptions
  readonly #memory = createLookMemory()

  constructor(options: DiskOptions) {
    this.#options = options
  }

  find(path: string): Found {
    const { opened, refused } = this.#open(this.#newLook(), path)
    opened?.close()
    return { repository: opened?.repository, refused }
  }

  async look(path: string, facts: GitFacts, modes: Modes): Promise<DiskLook> {
    const look = this.#newLook()
    const { opened, refused } = this.#open(look, path)
    if (!opened) return { seen: undefined, refused, aheadMs: look.aheadMs }
    try {
      const state = lookAtRepository(look, facts, opened)
      const decision = modes.of(state.repository)
      const refs = await this.#lookAtRefs(look, opened, state, decision)
      const { aheadMs } = look
      if (refs === 'outside') return { seen: undefined, refused: refs, aheadMs }
      if (refs !== 'directories') return { seen: { state, decision, refs }, refused, aheadMs }
      return { seen: { state, decision: modes.tooManyDirectories(state.repository), refs }, refused, aheadMs }
    } finally {
      opened.close()
    }
  }

  /** Where the root is now; undefined: there is none that may be entered. */
  root(): string | undefined {
    return this.#options.root.real()
  }

  /** See `RepositoriesRoot`. */
  relative(path: string): string | undefined {
    return this.#options.root.relative(path)
  }

  /** See `findObjectDirectories`. */
  objects(
    repository: Repository,
    main: string,
    alternates: readonly string[],
  ): ObjectDirectories | { readonly refused: string } {
    return findObjectDirectories(repository, main, alternates, this.#options.guard?.())
  }

  /** See `findProgram`. */
  program(name: string, path: string | undefined): string | undefined {
    return findProgram(name, path, this.#options.guard?.())
  }

  /** What a directory below the root is, and what is in it if it is no repository; see `visitDirectory`. */
  visit(path: string, isLink: boolean): Visit {
    return visitDirectory(this.#newLook(), this.#options.root, path, isLink)
  }

  #newLook(): Look {
    return new Look(this.#memory, undefined, this.#options.guard?.())
  }

  #open(look: Look, path: string): { opened: OpenRepository | undefined; refused: Refusal | undefined } {
    let refused: Refusal | undefined
    const opened = enterRepo(look, this.#options.root, path, (why) => (refused = why))
    return { opened, refused }
  }

  async #lookAtRefs(
    look: Look,
    opened: OpenRepository,
    state: RepositoryState,
    { mode, reason }: ModeDecision,
  ): Promise<SeenRefs | 'directories' | 'outside' | undefined> {
    if (mode === 'lease') return undefined
    const { root, directoriesMax, looseRefsMax, linksAnywhere } = this.#options
    const directories = reason === 'configured' ? Infinity : directoriesMax
    const linksBelow = (): string | undefined => (linksAnywhere ? root.real() : undefined)
    return lookAtRefs(look, opened, state, { directories, looseRefs: looseRefsMax, linksBelow })
  }
}
