import { RepositoryNotFound } from '../faults/errors.js'
import { answerUnderLease } from '../held-lease.js'
import type { Origin } from '../origin.js'
import type { Target } from '../target.js'
import type { UpstreamOrigin } from '../upstream/upstream-origin.js'

export interface BothOriginOptions {
  /** Repositories here. */
  readonly disk: Origin
  /** The server that these repositories belong to. */
  readonly upstream: UpstreamOrigin
  /** Returns where a repository is below the root, by its path below the upstream's URL. */
  readonly diskPathOf: (path: string) => string
  /** Does the upstream decide who may read? Otherwise refstream has checked it. */
  readonly upstreamDecides: boolean
  /** Holds a lease on a repository below the root, if it is there, until the returned function is called. */
  readonly holdLease: (path: string) => Promise<() => void>
}

/**
 * The repositories of a server on this host: the disk tells what is fresh, and what is shared is made here. The server decides
 * who may read, and gets everything that refstream does not answer itself. What the disk does not have, the server answers.
 */
export class BothOrigin implements Origin {
  readonly #options: BothOriginOptions

  constructor(options: BothOriginOptions) {
    this.#options = options
  }

  readonly advertise: Origin['advertise'] = (target, ...asked) =>
    this.#fromDisk(
      target,
      (disk, here) => disk.advertise(here, ...asked),
      (upstream) => upstream.advertise(target, ...asked),
    )

  readonly advertiseUncached: Origin['advertiseUncached'] = (target, ...asked) =>
    this.#fromDisk(
      target,
      (disk, here) => disk.advertiseUncached(here, ...asked),
      (upstream) => upstream.advertiseUncached(target, ...asked),
    )

  readonly listRefs: Origin['listRefs'] = (target, ...asked) =>
    this.#fromDisk(
      target,
      (disk, here) => disk.listRefs(here, ...asked),
      (upstream) => upstream.listRefs(target, ...asked),
    )

  readonly fetch: Origin['fetch'] = (target, ...asked) =>
    this.#fromDisk(
      target,
      (disk, here) => disk.fetch(here, ...asked),
      (upstream) => upstream.fetch(target, ...asked),
    )

  readonly passed: Origin['passed'] = (reason) => this.#options.disk.passed(reason)

  readonly passThrough: Origin['passThrough'] = async (target, ...asked) => {
    const { disk, upstream } = this.#options
    return (upstream.has(target) ? upstream : disk).passThrough(target, ...asked)
  }

  readonly mutate: Origin['mutate'] = async (target, ...asked) => {
    const { disk, upstream, diskPathOf, holdLease } = this.#options
    if (!upstream.has(target)) return disk.mutate(target, ...asked)
    const end = await holdLease(diskPathOf(target.path))
    return answerUnderLease(end, () => upstream.mutate(target, ...asked))
  }

  /** Answers from the disk once the upstream has let the client read, if the repository is there under that very name. */
  async #fromDisk<T>(
    target: Target,
    answer: (disk: Origin, here: Target) => Promise<T>,
    otherwise: (upstream: Origin) => Promise<T>,
  ): Promise<T> {
    const { disk, upstream, diskPathOf, upstreamDecides } = this.#options
    if (!upstream.has(target)) return answer(disk, target)
    if (upstreamDecides) await upstream.verdict(target)
    if (upstreamDecides && upstream.hasMoved(target)) return otherwise(upstream)
    try {
      return await answer(disk, { ...target, path: diskPathOf(target.path) })
    } catch (error) {
      if (error instanceof RepositoryNotFound) return otherwise(upstream)
      throw error
    }
  }
}
