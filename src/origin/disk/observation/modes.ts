import { LRUCache } from 'lru-cache'
import { existsSync } from 'node:fs'
import { repositoryMatcher, type RuledRepository } from '../../../config/values/repository-glob.js'
import { networkFilesystem } from '../../../git/filesystem/network-filesystem.js'
import type { MountTable } from '../../../git/filesystem/mount-table.js'
import type { Repository } from '../../../git/state/repository.js'
import { entriesAtMost } from '../../../limits/entries-at-most.js'

/**
 * What decides whether an entry is fresh. `observe`: an observation of the disk, and ended leases in addition. `lease`:
 * leases alone, because the disk cannot be observed or its timestamps cannot be trusted.
 */
export type Mode = 'observe' | 'lease'

/**
 * Why a repository is in its mode. `configured`: by a rule; `local` and `network`: by the kind of its filesystem;
 * `directories`: there are too many directories under refs/ to observe.
 */
export type ModeReason = 'configured' | 'local' | 'network' | 'directories'

export interface ModeDecision {
  readonly mode: Mode
  readonly reason: ModeReason
  /** Shown to operators: the rule that matched, or the filesystem. */
  readonly detail?: string | undefined
}

/** Sets the mode of the repositories whose path, relative to the root, matches; the path of the root itself is `.`. */
export interface ModeRule {
  readonly glob: string
  readonly mode: Mode | 'auto'
}

export interface ModesOptions {
  /** The first rule that matches decides; without one the mode is chosen automatically. */
  readonly rules: readonly ModeRule[]
  /** Called once per repository, when its mode becomes `lease` without a rule that says so. */
  readonly leaseOnly?: (repository: Repository, decision: ModeDecision) => void
  /** Tells on which filesystem a repository is; left out: the filesystem itself is queried. */
  readonly mounts?: MountTable | undefined
}

/** Most decisions that are remembered, and for how many milliseconds: mounts may change. */
const rememberMax = 100_000
const rememberMs = 600_000

interface Remembered {
  readonly decision: ModeDecision
  /** In milliseconds of performance.now(). */
  readonly until: number
  /** Was `leaseOnly` called for this repository? */
  readonly reported: boolean
}

/** The mode of each repository: decided at its first observation, and again after ten minutes. */
export class Modes {
  readonly #options: ModesOptions
  readonly #rules: readonly {
    readonly rule: ModeRule
    readonly matches: (repository: RuledRepository) => boolean
  }[]
  /** With `max`, the cache would make room for all of them at once, which takes a tenth of the time of a start. */
  readonly #decisions = new LRUCache<string, Remembered>(entriesAtMost(rememberMax))

  constructor(options: ModesOptions) {
    this.#options = options
    this.#rules = options.rules.map((rule) => ({ rule, matches: repositoryMatcher(rule.glob) }))
  }

  /** Returns the mode of a repository, which is decided now if it is not known. */
  of(repository: Repository): ModeDecision {
    const known = this.#decisions.get(repository.gitDir)
    if (known && performance.now() < known.until) return known.decision
    return this.#remember(repository, this.#decide(repository))
  }

  /** Puts a repository into mode `lease`: it has more directories under refs/ than an observation may take in. */
  tooManyDirectories(repository: Repository): ModeDecision {
    return this.#remember(repository, { mode: 'lease', reason: 'directories' })
  }

  /** Takes over a decision that a helper process has made. */
  adopt(repository: Repository, decision: ModeDecision): void {
    this.#remember(repository, decision)
  }

  /** Counts the repositories that were requested lately, by mode and reason. */
  *countByReason(): Iterable<{ mode: Mode; reason: ModeReason; count: number }> {
    const counts = new Map<string, { mode: Mode; reason: ModeReason; count: number }>()
    for (const { decision } of this.#decisions.values()) {
      const { mode, reason } = decision
      const row = counts.get(`${mode} ${reason}`) ?? { mode, reason, count: 0 }
      row.count++
      counts.set(`${mode} ${reason}`, row)
    }
    yield* counts.values()
  }

  #remember(repository: Repository, decision: ModeDecision): ModeDecision {
    const reported = this.#decisions.get(repository.gitDir)?.reported ?? false
    const mustReport = decision.mode === 'lease' && decision.reason !== 'configured' && !reported
    const until = performance.now() + rememberMs
    this.#decisions.set(repository.gitDir, { decision, until, reported: reported || mustReport })
    if (mustReport) this.#options.leaseOnly?.(repository, decision)
    return decision
  }

  #decide({ gitDir, gitName, commonDir }: Repository): ModeDecision {
    const root = gitDir.slice(0, gitDir.length - gitName.length)
    const path = gitName.replace(/(^|\/)\.git$/, '')
    // Another path leads to this repository, as Git resolves paths, unless a repository is at that path itself.
    const refersTo = (other: string): boolean =>
      !['.git', 'HEAD'].some((part) => existsSync(`${root}${other}/${part}`))
    const rule = this.#rules.find(({ matches }) => matches({ path, refersTo }))?.rule
    if (rule && rule.mode !== 'auto') return { mode: rule.mode, reason: 'configured', detail: rule.glob }
    const filesystem = networkFilesystem(commonDir, this.#options.mounts)
    return filesystem === undefined
      ? { mode: 'observe', reason: 'local' }
      : { mode: 'lease', reason: 'network', detail: filesystem }
  }
}
