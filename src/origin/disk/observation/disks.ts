import { RemotePath } from '../../../git/filesystem/path-guard.js'
import type { Disk, DiskObjects, DiskObservation, FoundRepository, GitFacts } from './disk.js'
import type { DiskHelpers } from './disk-helpers.js'
import type { DiskQuery } from './disk-messages.js'
import type { Modes } from './modes.js'

type Answer<Q extends Exclude<DiskQuery, 'observe'>> = ReturnType<Disk[Q]>

/**
 * Runs disk queries: synchronously on the event loop where the disk answers in microseconds; in a helper process with a
 * time limit where a path leads to a mount that may hang (NFS, FUSE and the like).
 * Every query throws FilesystemUnanswered, or rejects with it, if the filesystem does not answer in time.
 */
export class Disks {
  readonly #disk: Disk
  readonly #helpers: DiskHelpers | undefined

  /** @param helpers left out: the disk must have no guard */
  constructor(disk: Disk, helpers?: DiskHelpers) {
    this.#disk = disk
    this.#helpers = helpers
  }

  async observe(path: string, facts: GitFacts, modes: Modes): Promise<DiskObservation> {
    try {
      return await this.#disk.observe(path, facts, modes)
    } catch (error) {
      const observation = (await this.#askHelper(error, 'observe', [path, facts])) as DiskObservation
      if (observation.observed)
        modes.adopt(observation.observed.state.repository, observation.observed.decision)
      return observation
    }
  }

  /** Unlike `observe` it never yields: it walks no directories. */
  observeObjects(path: string, facts: GitFacts): DiskObjects | Promise<DiskObjects> {
    return this.#query('observeObjects', path, facts)
  }

  find(path: string): FoundRepository | Promise<FoundRepository> {
    return this.#query('find', path)
  }

  root(): Answer<'root'> | Promise<Answer<'root'>> {
    return this.#query('root')
  }

  relative(path: string): Answer<'relative'> | Promise<Answer<'relative'>> {
    return this.#query('relative', path)
  }

  objects(...args: Parameters<Disk['objects']>): Answer<'objects'> | Promise<Answer<'objects'>> {
    return this.#query('objects', ...args)
  }

  program(...args: Parameters<Disk['program']>): Answer<'program'> | Promise<Answer<'program'>> {
    return this.#query('program', ...args)
  }

  visit(...args: Parameters<Disk['visit']>): Answer<'visit'> | Promise<Answer<'visit'>> {
    return this.#query('visit', ...args)
  }

  #query<Q extends Exclude<DiskQuery, 'observe'>>(
    query: Q,
    ...args: Parameters<Disk[Q]>
  ): Answer<Q> | Promise<Answer<Q>> {
    try {
      return (this.#disk[query] as (...args: unknown[]) => Answer<Q>)(...args)
    } catch (error) {
      return this.#askHelper(error, query, args) as Promise<Answer<Q>>
    }
  }

  /** Runs a query in a helper process if this error says that the path leads to a mount that may hang. */
  #askHelper(error: unknown, query: DiskQuery, args: readonly unknown[]): Promise<unknown> {
    if (!(error instanceof RemotePath) || !this.#helpers) throw error
    return this.#helpers.ask(error.mount, query, args)
  }
}
