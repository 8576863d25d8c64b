import { findProgram } from '../../../git/process/installation.js'
import { StatSnapshot } from '../../../git/state/stat-snapshot.js'
import { SnapshotMemory } from '../../../git/state/snapshot-memory.js'
import { findObjectDirectories, type ObjectDirectories } from '../../../git/state/object-directories.js'
import type { PathGuard } from '../../../git/filesystem/path-guard.js'
import { observeObjectStore } from '../../../git/state/object-store-state.js'
import { observeRefs, type ObservedRefs } from '../../../git/state/ref-state.js'
import {
  observeRepository,
  type ObservationSettings,
  type RepositoryState,
  type StateDigest,
} from '../../../git/state/repository-state.js'
import { visitDirectory, type VisitedDirectory } from '../../../git/state/repository-search.js'
import type { RepositoriesRoot } from '../../../git/state/repositories-root.js'
import type { OpenRepository, RepositoryRefusal, Repository } from '../../../git/state/repository.js'
import { openRepository } from '../../../git/state/open-repository.js'
import type { ModeDecision, Modes } from './modes.js'

export interface DiskOptions {
  readonly root: RepositoriesRoot
  /** Most directories under a repository's refs/ that an observation takes in, unless the mode is configured. */
  readonly directoriesMax: number
  /** Most loose refs that an observation checks one by one, for writers that overwrite instead of replacing them. */
  readonly looseRefsMax: number
  /** May links under refs/ lead anywhere below the root? Otherwise only to places for which access is checked. */
  readonly linksAnywhere: boolean
  /** Called before a path is touched; left out: no path can lead to a filesystem that may hang. */
  readonly guard?: () => PathGuard | undefined
}

/** The repository at a path. */
export interface FoundRepository {
  readonly repository: Repository | undefined
  /** Why something that exists at the path is not served. */
  readonly refused: RepositoryRefusal | undefined
}

/** What is on disk of a repository. */
export interface DiskObservation {
  /** undefined: there is no repository that is served. */
  readonly observed:
    | {
        readonly state: RepositoryState
        readonly decision: ModeDecision
        /** undefined: leases decide. 'directories': leases decide from now on, by this observation. */
        readonly refs: ObservedRefs | 'directories' | undefined
      }
    | undefined
  readonly refused: RepositoryRefusal | undefined
  /** Milliseconds by which the youngest timestamp is ahead of the system clock. */
  readonly aheadMs: number
}

/** What is on disk of a repository's object store. */
export interface DiskObjects extends Pick<DiskObservation, 'refused' | 'aheadMs'> {
  /** undefined: there is no repository that is served. */
  readonly observed: { readonly state: RepositoryState; readonly objects: StateDigest } | undefined
}

/** What an observation must know of the Git in use. */
export type GitFacts = Omit<ObservationSettings, 'root'>

/**
 * All queries that read the disk. Arguments and results are plain data, and nothing stays open, so that a helper process
 * can run a query where the disk may hang; see `Disks`. Each query throws RemotePath if the guard stops it.
 */
export class Disk {
  readonly #options: DiskOptions
  readonly #memory = new SnapshotMemory()

  constructor(options: DiskOptions) {
    this.#options = options
  }

  /** Finds the repository at a path. */
  find(path: string): FoundRepository {
    const { opened, refused } = this.#open(this.#newSnapshot(), path)
    opened?.close()
    return { repository: opened?.repository, refused }
  }

  /** Observes the state of the repository at a path. */
  async observe(path: string, facts: GitFacts, modes: Modes): Promise<DiskObservation> {
    const snapshot = this.#newSnapshot()
    const { opened, refused } = this.#open(snapshot, path)
    if (!opened) return { observed: undefined, refused, aheadMs: snapshot.aheadMs }
    try {
      const state = observeRepository(snapshot, facts, opened)
      const decision = modes.of(state.repository)
      const refs = await this.#observeRefs(snapshot, opened, state, decision)
      const { aheadMs } = snapshot
      if (refs === 'outside') return { observed: undefined, refused: refs, aheadMs }
      if (refs !== 'directories') return { observed: { state, decision, refs }, refused, aheadMs }
      return {
        observed: { state, decision: modes.tooManyDirectories(state.repository), refs },
        refused,
        aheadMs,
      }
    } finally {
      opened.close()
    }
  }

  /** Observes what decides a pack of the repository at a path, besides its objects and refs: no ref is looked at. */
  observeObjects(path: string, facts: GitFacts): DiskObjects {
    const snapshot = this.#newSnapshot()
    const { opened, refused } = this.#open(snapshot, path)
    try {
      const state = opened && observeRepository(snapshot, facts, opened)
      const observed = state && { state, objects: observeObjectStore(snapshot, opened, state) }
      return { observed, refused, aheadMs: snapshot.aheadMs }
    } finally {
      opened?.close()
    }
  }

  /** Returns the root's real path now; undefined: it does not exist or may not be entered. */
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

  /** Tells what a directory below the root is, and what it contains if it is no repository; see `visitDirectory`. */
  visit(path: string, isLink: boolean): VisitedDirectory {
    return visitDirectory(this.#newSnapshot(), this.#options.root, path, isLink)
  }

  #newSnapshot(): StatSnapshot {
    return new StatSnapshot(this.#memory, undefined, this.#options.guard?.())
  }

  #open(
    snapshot: StatSnapshot,
    path: string,
  ): { opened: OpenRepository | undefined; refused: RepositoryRefusal | undefined } {
    let refused: RepositoryRefusal | undefined
    const opened = openRepository(snapshot, this.#options.root, path, (why) => (refused = why))
    return { opened, refused }
  }

  async #observeRefs(
    snapshot: StatSnapshot,
    opened: OpenRepository,
    state: RepositoryState,
    { mode, reason }: ModeDecision,
  ): Promise<ObservedRefs | 'directories' | 'outside' | undefined> {
    if (mode === 'lease') return undefined
    const { root, directoriesMax, looseRefsMax, linksAnywhere } = this.#options
    const directories = reason === 'configured' ? Infinity : directoriesMax
    const linksBelow = (): string | undefined => (linksAnywhere ? root.real() : undefined)
    return observeRefs(snapshot, opened, state, { directories, looseRefs: looseRefsMax, linksBelow })
  }
}
