import { LRUCache } from 'lru-cache'
import type { ObservedState } from '../../../freshness/observed-state.js'
import { systemClock, type Clock } from '../../../limits/clock.js'
import { inTurns, type Entry } from '../../../streamcache/index.js'
import { firstDifference } from './first-difference.js'
import type { AuditVerdict, Difference, SpliceReports } from './splice-reports.js'
import { entriesAtMost } from '../../../limits/entries-at-most.js'

/** A splice that was committed, and how to find out whether it is right. */
export interface Spliced {
  readonly kind: 'advertisement' | 'listing'
  readonly entry: Entry
  readonly gitDir: string
  /** Is the entry still the one that answers? */
  readonly isCurrent: () => boolean
  readonly observe: () => Promise<ObservedState>
  /** Has Git write the same as a whole. */
  readonly list: (signal: AbortSignal) => AsyncIterable<Buffer>
  /** Drops all that was made of the repository's refs. */
  readonly drop: () => void
}

/** So many splices of each key are audited from the first on, and then one of every `oneOf`. */
const firstSplices = 3
const oneOf = 200
/** Milliseconds without a splice after which a busy spell has ended. */
const quietMs = 10_000
/** Audits of one splice that may be inconclusive. */
const triesMax = 3
/** Most keys whose splices are counted, or wait for the end of a busy spell. */
const keysMax = 10_000
/** Most splices that are to be audited now; others wait like those of a busy spell. */
const dueMax = 1000

/** Compares splices with what Git lists, in the background: one at a time, and never in the way of a client. */
export class SpliceAudits {
  readonly #reports: SpliceReports
  readonly #clock: Clock
  /** Splices, by key. */
  readonly #counts = new LRUCache<string, number>(entriesAtMost(keysMax))
  /** The last splice of each key that was not audited, and when it was made. */
  readonly #unaudited = new LRUCache<string, { readonly spliced: Spliced; readonly atMs: number }>({
    ...entriesAtMost(keysMax),
  })
  readonly #tries = new WeakMap<Entry, number>()
  /** Those to be audited, oldest first, by key: at most `dueMax`. */
  readonly #due = new Map<string, Spliced>()
  #running: Promise<void> | undefined
  #cancelSweep: (() => void) | undefined
  readonly #abort = new AbortController()

  constructor(reports: SpliceReports, clock: Clock = systemClock) {
    this.#reports = reports
    this.#clock = clock
  }

  /** Notes a splice, and audits it if it is its turn. */
  made(spliced: Spliced): void {
    const { key } = spliced.entry
    const count = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, count)
    if (count > firstSplices && count % oneOf !== 0) this.#postpone(spliced)
    else this.#audit(spliced)
  }

  /** Resolves when no audit runs. */
  async idle(): Promise<void> {
    await this.#running
  }

  close(): void {
    this.#cancelSweep?.()
    this.#due.clear()
    this.#unaudited.clear()
    this.#abort.abort(new Error('the process is about to end'))
  }

  /** Leaves a splice to a later audit, if no other one of its key is made meanwhile. */
  #postpone(spliced: Spliced): void {
    if (this.#abort.signal.aborted) return
    this.#unaudited.set(spliced.entry.key, { spliced, atMs: this.#clock.now() })
    this.#cancelSweep ??= this.#clock.after(quietMs, () => this.#sweep())
  }

  #sweep(): void {
    const before = this.#clock.now() - quietMs
    for (const [key, { spliced, atMs }] of [...this.#unaudited.entries()]) {
      if (atMs > before) continue
      this.#unaudited.delete(key)
      this.#audit(spliced)
    }
    this.#cancelSweep = this.#unaudited.size > 0 ? this.#clock.after(quietMs, () => this.#sweep()) : undefined
  }

  #audit(spliced: Spliced): void {
    const { key } = spliced.entry
    if (this.#due.size >= dueMax && !this.#due.has(key)) return this.#postpone(spliced)
    this.#unaudited.delete(key)
    this.#due.set(key, spliced)
    this.#running ??= this.#auditAll().finally(() => (this.#running = undefined))
  }

  async #auditAll(): Promise<void> {
    for (const [key, spliced] of this.#due) {
      this.#due.delete(key)
      const verdict = await this.#compare(spliced).catch((): AuditVerdict => 'inconclusive')
      if (this.#abort.signal.aborted) return
      this.#reports.audited(spliced.kind, typeof verdict === 'string' ? verdict : 'different')
      if (typeof verdict === 'object') {
        spliced.drop()
        this.#reports.differs(spliced.gitDir, key, verdict)
      } else if (verdict === 'inconclusive' && spliced.isCurrent() && this.#mayTryAgain(spliced))
        this.#postpone(spliced)
    }
  }

  #mayTryAgain({ entry }: Spliced): boolean {
    const tries = (this.#tries.get(entry) ?? 0) + 1
    this.#tries.set(entry, tries)
    return tries < triesMax
  }

  async #compare({ entry, observe, list, isCurrent }: Spliced): Promise<AuditVerdict | Difference> {
    const isUnchanged = async (): Promise<boolean> => {
      const { token, unsettledMs } = await observe()
      return unsettledMs === 0 && token === entry.token && isCurrent()
    }
    if (!(await isUnchanged())) return 'inconclusive'
    const follower = entry.follow()
    try {
      if (!(await entry.load())) return 'inconclusive'
      const difference = await firstDifference(inTurns(follower), list(this.#abort.signal))
      if (!(await isUnchanged())) return 'inconclusive'
      return difference ?? 'equal'
    } finally {
      follower.close()
    }
  }
}
