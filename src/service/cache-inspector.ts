import type { FreshCache } from '../freshness/fresh-cache.js'
import type { Prospect } from '../freshness/prospect.js'
import type { PackCache } from '../freshness/pack-cache.js'
import type { MutatorLeases } from '../freshness/leases/mutator-leases.js'
import type { ModeDecision, Modes } from '../origin/disk/observation/modes.js'
import type { Observer } from '../origin/disk/observation/observer.js'
import { keysOf } from '../origin/disk/entry-keys.js'
import { observeTarget } from '../origin/disk/observe-target.js'

/** What is known of a repository at one moment. */
export interface RepositoryStat {
  /** Relative to the root; `.` is the root itself. */
  readonly repository: string
  readonly exported: boolean
  readonly decision: ModeDecision
  /** Does its state have a token now? */
  readonly settled: boolean
  readonly leasesOpen: number
  /** What is committed for it, fresh or not: kind and variant, and bytes. */
  readonly entries: readonly { readonly kind: string; readonly bytes: number }[]
  /** How the next request for each kind and variant would be answered. */
  readonly prospects: readonly { readonly kind: string; readonly prospect: Prospect }[]
  /** Packs that are kept for it, and their bytes. */
  readonly packs: number
  readonly packBytes: number
}

/** The one kind of entry that has no refs in it. */
const capabilityKind = 'advertisement v2'

export interface CacheInspectorOptions {
  readonly observer: Observer
  readonly modes: Modes
  readonly leases: MutatorLeases
  readonly cache: FreshCache
  readonly packs: Pick<PackCache, 'kept'>
}

/** Reports what a running sidecar knows of a repository. */
export class CacheInspector {
  readonly #options: CacheInspectorOptions

  constructor(options: CacheInspectorOptions) {
    this.#options = options
  }

  /** @param path decoded and relative to the root @throws RepositoryNotFound, FilesystemUnanswered */
  async stat(path: string): Promise<RepositoryStat> {
    const { observer, modes, leases, cache, packs } = this.#options
    const { repository, exported, refs, capabilities } = await observeTarget(observer, { path })
    const { gitDir, gitName, commonDir } = repository
    await leases.refresh(commonDir)
    const entries = keysOf(gitDir).flatMap((key) => {
      const entry = cache.committed(key)
      return entry ? [{ kind: key.slice(0, -gitDir.length - 1), bytes: entry.length }] : []
    })
    const prospects = keysOf(gitDir).map((key) => {
      const kind = key.slice(0, -gitDir.length - 1)
      return { kind, prospect: cache.explain(key, kind === capabilityKind ? capabilities : refs) }
    })
    const { count, bytes: packBytes } = packs.kept(commonDir)
    return {
      repository: gitName || '.',
      exported,
      decision: modes.of(repository),
      settled: refs.unsettledMs === 0,
      leasesOpen: leases.statusOf(commonDir).open,
      entries,
      prospects,
      packs: count,
      packBytes,
    }
  }
}
