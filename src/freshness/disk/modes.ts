import { LRUCache } from 'lru-cache'
import { existsSync } from 'node:fs'
import { repositoryMatcher, type RuledRepository } from '../../config/repository-glob.js'
import { networkFilesystem } from '../../git/filesystem/network-filesystem.js'
import type { MountTable } from '../../git/filesystem/mount-table.js'
import type { Repository } from '../../git/state/repository.js'

/**
 * What decides whether an entry is fresh. `observe`: the look at the disk, and ended leases on top. `lease`: leases
 * alone, because the disk cannot be looked at or its timestamps cannot be trusted.
 */
export type Mode = 'observe' | 'lease'

/** Why. `network`: it lies on a network filesystem; `directories`: there are too many under refs/ for a look. */
export type ModeReason = 'configured' | 'local' | 'network' | 'directories'

export interface ModeDecision {
  readonly mode: Mode
  readonly reason: ModeReason
  /** For people: the rule that matched, the filesystem. */
  readonly detail?: string | undefined
}

/** A mode for the repositories whose path, relative to the root, matches; the root's own path is `.`. */
export interface ModeRule {
  readonly glob: string
  readonly mode: Mode | 'auto'
}

export interface ModesOptions {
  /** The first that matches decides; none: auto. */
  readonly rules: readonly ModeRule[]
  /** Told when leases alone come to decide for a repository without anybody having said so; once for each. */
  readonly leaseOnly?: (repository: Repository, decision: ModeDecision) => void
  /** Tells on which filesystem a repository lies; left out, the filesystem itself is asked. */
  readonly mounts?: MountTable | undefined
}

/** Repositories whose decision is remembered, and for how many milliseconds: what is mounted may change. */
const rememberMax = 100_000
const rememberMs = 600_000

interface Remembered {
  readonly decision: ModeDecision
  readonly until: number
  readonly told: boolean
}

/** Which mode each repository is in. Decided when it is first looked at, and again after ten minutes. */
export class Modes {
  readonly #options: ModesOptions
  readonly #rules: readonly {
    readonly rule: ModeRule
    readonly matches: (repository: RuledRepository) => boolean
  }[]
  readonly #decisions = new LRUCache<string, Remembered>({ max: rememberMax })

  constructor(options: ModesOptions) {
    this.#options = options
    this.#rules = options.rules.map((rule) => ({ rule, matches: repositoryMatcher(rule.glob) }))
  }

  of(repository: Repository): ModeDecision {
    const known = this.#decisions.get(repository.gitDir)
    if (known && performance.now() < known.until) return known.decision
    return this.#remember(repository, this.#decide(repository))
  }

  /** A look has found more directories under refs/ than it may look at, again and again. */
  tooManyDirectories(repository: Repository): ModeDecision {
    return this.#remember(repository, { mode: 'lease', reason: 'directories' })
  }

  /** Takes over what another process has decided. */
  adopt(repository: Repository, decision: ModeDecision): void {
    this.#remember(repository, decision)
  }

  /** How many of the repositories that were asked for lately are in which mode, and why. */
  *census(): Iterable<{ mode: Mode; reason: ModeReason; count: number }> {
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
    const toldBefore = this.#decisions.get(repository.gitDir)?.told ?? false
    const tell = decision.mode === 'lease' && decision.reason !== 'configured' && !toldBefore
    const until = performance.now() + rememberMs
    this.#decisions.set(repository.gitDir, { decision, until, told: toldBefore || tell })
    if (tell) this.#options.leaseOnly?.(repository, decision)
    return decision
  }

  #decide({ gitDir, gitName, commonDir }: Repository): ModeDecision {
    const root = gitDir.slice(0, gitDir.length - gitName.length)
    const path = gitName.replace(/(^|\/)\.git$/, '')
    // What Git would find by another name is this repository if there is none at that name itself.
    const isMeantBy = (other: string): boolean =>
      !['.git', 'HEAD'].some((part) => existsSync(`${root}${other}/${part}`))
    const rule = this.#rules.find(({ matches }) => matches({ path, isMeantBy }))?.rule
    if (rule && rule.mode !== 'auto') return { mode: rule.mode, reason: 'configured', detail: rule.glob }
    const filesystem = networkFilesystem(commonDir, this.#options.mounts)
    return filesystem === undefined
      ? { mode: 'observe', reason: 'local' }
      : { mode: 'lease', reason: 'network', detail: filesystem }
  }
}
