import type { AgedCache } from '../../../freshness/aged/aged-cache.js'
import type { LeaseStatus } from '../../../freshness/leases/lease.js'
import { systemClock, type Clock } from '../../../limits/clock.js'
import type { StreamCache } from '../../../streamcache/index.js'
import { addressOf } from '../upstream.js'
import type { Upstreams } from '../upstreams.js'

/**
 * How the next request would be answered. `hit`: from what is kept. In all other cases the upstream is asked, because: `exact`:
 * no answer may be older than its request; `lease`: a lease is open; `outdated`: it is too old, or from before a lease ended or
 * the repository was invalidated; `unconfirmed`: an earlier process has made it.
 */
export type AgedProspect = 'hit' | 'exact' | 'lease' | 'outdated' | 'unconfirmed'

export interface KeptAnswer {
  readonly kind: string
  /** Who may get it: the clients without credentials, all, or those with certain credentials. */
  readonly view: 'anonymous' | 'shared' | 'credentials'
  readonly bytes: number
  /** Milliseconds since the upstream was asked; undefined: an earlier process has asked it. */
  readonly ageMs?: number
  readonly prospect: AgedProspect
}

/** What is known of an upstream's repository. */
export interface UpstreamStat {
  /** Host and port of the upstream. */
  readonly name: string
  readonly maxAgeMs: number
  readonly leasesOpen: number
  /** Of its answers about refs, some if there are many; `count` is of all. */
  readonly entries: readonly KeptAnswer[]
  readonly count: number
}

export interface KeptAnswersOptions {
  readonly upstreams: Upstreams
  readonly aged: Pick<AgedCache, 'mayAnswer' | 'ageMsOf'>
  readonly cache: Pick<StreamCache, 'keys' | 'get'>
  readonly statusOf: (subject: string) => Pick<LeaseStatus, 'open'>
  readonly clock?: Pick<Clock, 'now'>
}

/** Most answers that are shown. */
const shownMax = 50

/** Tells operators what is kept of an upstream's repository. */
export class KeptAnswers {
  readonly #options: KeptAnswersOptions

  constructor(options: KeptAnswersOptions) {
    this.#options = options
  }

  /** Passes over the keys of all entries. @returns undefined: no upstream has such a path */
  of(path: string): UpstreamStat | undefined {
    const { upstreams, cache, statusOf } = this.#options
    if (!upstreams.has(path)) return undefined
    const repository = upstreams.find({ path })
    const { upstream, subject, maxAgeMs } = repository
    const { open } = statusOf(subject)
    const ending = ` ${addressOf(repository)}`
    const keys = [...cache.keys()].filter((key) => key.endsWith(ending) && key.startsWith('upstream-'))
    const entries = keys.slice(0, shownMax).flatMap((key) => {
      const entry = cache.get(key)
      if (!entry) return []
      const words = key.slice('upstream-'.length, -ending.length).split(' ')
      const ageMs = this.#options.aged.ageMsOf(entry)
      return {
        kind: words[0] === 'advertisement' ? words.slice(0, 2).join(' ') : String(words[0]),
        view: viewIn(words.at(-1)),
        bytes: entry.length,
        ...(ageMs !== undefined && { ageMs: Math.round(ageMs) }),
        prospect: this.#prospectOf(key, subject, maxAgeMs, open > 0, ageMs),
      }
    })
    return { name: upstream.name, maxAgeMs, leasesOpen: open, entries, count: keys.length }
  }

  #prospectOf(
    key: string,
    subject: string,
    maxAgeMs: number,
    isLeased: boolean,
    ageMs: number | undefined,
  ): AgedProspect {
    if (maxAgeMs === 0) return 'exact'
    if (isLeased) return 'lease'
    const { aged, clock = systemClock } = this.#options
    const arrivedAtMs = clock.now()
    if (aged.mayAnswer({ key, subject, arrivedAtMs, maxAgeMs })) return 'hit'
    return ageMs === undefined ? 'unconfirmed' : 'outdated'
  }
}

/** The name of credentials is a hash, which is not shown. */
const viewIn = (view: string | undefined): KeptAnswer['view'] =>
  view === 'shared' || view === 'anonymous' ? view : 'credentials'
