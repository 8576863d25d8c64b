import { RemotePath } from '../../git/filesystem/path-guard.js'
import type { Disk, DiskObservation, Found, GitFacts } from './disk.js'
import type { DiskHelpers } from './disk-helpers.js'
import type { DiskQuery } from './disk-messages.js'
import type { Modes } from './modes.js'

type Answer<Q extends Exclude<DiskQuery, 'observe'>> = ReturnType<Disk[Q]>

/**
 * Asks the disk what it shows of repositories: at once and on the event loop, where it answers in microseconds; from
 * another process, with a time limit, where a path leads to a mount that may hang (NFS, FUSE and the like).
 * Every question throws FilesystemUnanswered, or rejects with it.
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
      const observation = (await this.#elsewhere(error, 'observe', [path, facts])) as DiskObservation
      if (observation.observed)
        modes.adopt(observation.observed.state.repository, observation.observed.decision)
      return observation
    }
  }

  find(path: string): Found | Promise<Found> {
    return this.#ask('find', path)
  }

  root(): Answer<'root'> | Promise<Answer<'root'>> {
    return this.#ask('root')
  }

  relative(path: string): Answer<'relative'> | Promise<Answer<'relative'>> {
    return this.#ask('relative', path)
  }

  objects(...args: Parameters<Disk['objects']>): Answer<'objects'> | Promise<Answer<'objects'>> {
    return this.#ask('objects', ...args)
  }

  program(...args: Parameters<Disk['program']>): Answer<'program'> | Promise<Answer<'program'>> {
    return this.#ask('program', ...args)
  }

  visit(...args: Parameters<Disk['visit']>): Answer<'visit'> | Promise<Answer<'visit'>> {
    return this.#ask('visit', ...args)
  }

  #ask<Q extends Exclude<DiskQuery, 'observe'>>(
    query: Q,
    ...args: Parameters<Disk[Q]>
  ): Answer<Q> | Promise<Answer<Q>> {
    try {
      return (this.#disk[query] as (...args: unknown[]) => Answer<Q>)(...args)
    } catch (error) {
      return this.#elsewhere(error, query, args) as Promise<Answer<Q>>
    }
  }

  #elsewhere(error: unknown, query: DiskQuery, args: readonly unknown[]): Promise<unknown> {
    if (!(error instanceof RemotePath) || !this.#helpers) throw error
    return this.#helpers.ask(error.mount, query, args)
  }
}
