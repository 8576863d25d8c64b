import { FilesystemUnanswered } from '../../../git/filesystem/filesystem-unanswered.js'
import { RemotePath } from '../../../git/filesystem/path-guard.js'
import { DiskHelper, type HelperOptions } from './disk-helper.js'
import type { HelperConfig, DiskQuery } from './disk-messages.js'

export interface DiskHelpersOptions extends HelperOptions {
  readonly config: HelperConfig
  /** Most helper processes at once. */
  readonly max?: number
}

/** Each process takes about 45 MB, and most machines have one or two such mounts. */
const defaultMax = 8
/** Most mounts that one query may lead to. */
const mountsMax = 4

type Mounted = RemotePath['mount']

/**
 * Helper processes for queries about repositories on mounts that may hang: one for each mount, and one for each set of
 * mounts that a query has led to, so that a mount that hangs affects only the queries that need it.
 */
export class DiskHelpers {
  readonly #options: DiskHelpersOptions
  /** By the ids of their mounts; the most recently used last. */
  readonly #helpers = new Map<string, DiskHelper>()
  #closed = false

  constructor(options: DiskHelpersOptions) {
    this.#options = options
  }

  /**
   * Runs a query whose path leads to this mount, and if it leads to other mounts too, in the process for all of them.
   * @throws FilesystemUnanswered, or what the query throws
   */
  async ask(mount: Mounted, query: DiskQuery, args: readonly unknown[]): Promise<unknown> {
    const mounts = [mount]
    for (;;) {
      const helper = this.#of(mounts)
      if (!helper) {
        this.#options.unanswered?.()
        const cause = new Error('too many other filesystems are being queried')
        throw new FilesystemUnanswered(
          mounts.map(({ point }) => point),
          1,
          cause,
        )
      }
      try {
        return await helper.ask(query, args)
      } catch (error) {
        if (!(error instanceof RemotePath)) throw error
        if (mounts.length === mountsMax)
          throw new Error(`the path leads over more than ${mountsMax} mounts that may hang`, { cause: error })
        mounts.push(error.mount)
      }
    }
  }

  /** Counts the helper processes by state. */
  get countByState(): Readonly<Record<'running' | 'stuck', number>> {
    const states = [...this.#helpers.values()].map(({ state }) => state).filter((state) => state !== 'none')
    const stuck = states.filter((state) => state === 'stuck').length
    return { running: states.length - stuck, stuck }
  }

  /** Kills all helper processes. Those that are stuck in the kernel end when their system call returns. */
  close(): void {
    this.#closed = true
    for (const helper of this.#helpers.values()) helper.end()
  }

  /** Returns the helper for these mounts; undefined: there may be no more helpers. */
  #of(mounts: readonly Mounted[]): DiskHelper | undefined {
    const allowed = mounts.map(({ id }) => id).sort()
    const key = allowed.join(' ')
    const { config, max = defaultMax, ...options } = this.#options
    const known = this.#helpers.get(key)
    this.#helpers.delete(key)
    if (!known) this.#makeRoom(max)
    if (this.#closed || (!known && this.#helpers.size >= max)) return undefined
    const points = mounts.map(({ point }) => point)
    const helper = known ?? new DiskHelper({ config, allowed }, points, options)
    this.#helpers.set(key, helper)
    return helper
  }

  /** Forgets the helpers without a process; if that is not enough, ends the least recently used idle one. */
  #makeRoom(max: number): void {
    for (const [key, helper] of this.#helpers) if (helper.state === 'none') this.#helpers.delete(key)
    if (this.#helpers.size < max) return
    for (const [key, helper] of this.#helpers) {
      if (helper.state !== 'idle') continue
      helper.end()
      this.#helpers.delete(key)
      return
    }
  }
}
