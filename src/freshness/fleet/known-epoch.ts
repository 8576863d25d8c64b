import type { Epoch } from '../../fleet/engine.js'
import type { LeaseStatus } from '../leases/lease.js'

/** The least counts of a repository that is not known, so that no count ever decreases. */
export interface LeastCounts {
  readonly generation: number
  readonly openings: number
}

/**
 * What this node knows of one repository's epoch: the engine's counts as they were read last, mapped to counts of this
 * process that never decrease; and what nodes that could not ask the engine have told each other since.
 */
export class KnownEpoch {
  readonly subject: string
  /** The name by which the engine knows the repository. */
  readonly repository: string
  /** When it was read last, or could not be read, in milliseconds of the clock; -Infinity: it was not tried. */
  triedAtMs = -Infinity
  /** Until then, other nodes may hold leases that the engine does not know of, in milliseconds of the clock. */
  distrustedUntilMs = -Infinity
  readonly #processId: string
  #generation: number
  #openings: number
  #epoch: Epoch | undefined
  /** Did the last read succeed? */
  #isCurrent = false
  /** Has anybody used its status before it was read? Then what the first read shows may have come later. */
  #wasUsed = false
  /** Leases of which nodes have told each other. */
  #told = 0
  /**
   * What nodes have told each other is part of names until the engine counts it: `after` is the number of reads that had
   * begun by then; `base` is the engine's count at the first later read.
   */
  #unread: { readonly after: number; base: number | undefined } | undefined
  #status: LeaseStatus | undefined

  constructor(subject: string, repository: string, processId: string, least: LeastCounts) {
    this.subject = subject
    this.repository = repository
    this.#processId = processId
    this.#generation = least.generation
    this.#openings = least.openings
  }

  /** Of the engine when it was read last. */
  get incarnation(): string | undefined {
    return this.#epoch?.incarnation
  }

  get generation(): number {
    return this.#generation
  }

  /** Least counts of a later record of the same repository, which cannot know what happens until then. */
  get successor(): LeastCounts {
    return { generation: this.#generation + 1, openings: this.#openings + 1 }
  }

  /** May it be given up? */
  get isIdle(): boolean {
    return this.#told === 0
  }

  get status(): LeaseStatus {
    this.#wasUsed = true
    return (this.#status ??= this.#statusNow())
  }

  #statusNow(): LeaseStatus {
    const tag = this.#unread ? `+${this.#processId}` : ''
    const name = (shared: number | undefined, own: number): string =>
      shared === undefined ? `?${own}` : `${shared}${tag && `${tag}.${own}`}`
    return {
      open: (this.#isCurrent ? (this.#epoch?.open ?? 1) : 1) + this.#told,
      openings: this.#openings,
      changes: this.#generation,
      incarnation: this.#epoch?.incarnation ?? this.#processId,
      shared: {
        changes: name(this.#epoch?.changes, this.#generation),
        openings: name(this.#epoch?.openings, this.#openings),
      },
    }
  }

  /**
   * Takes over what the engine has answered to a read of that number. Counts of another incarnation, or counts that have
   * decreased, cannot be compared: anything may have changed.
   * @returns `lost`: the engine has lost its memory
   */
  read(epoch: Epoch, number: number): 'same' | 'changed' | 'lost' {
    const before = this.#epoch
    const isComparable =
      before?.incarnation === epoch.incarnation &&
      before.changes <= epoch.changes &&
      before.openings <= epoch.openings
    const changes = isComparable ? epoch.changes - before.changes : before || this.#wasUsed ? 1 : 0
    const openings = isComparable ? epoch.openings - before.openings : changes
    this.#generation += changes
    this.#openings += openings
    this.#epoch = epoch
    this.#isCurrent = true
    this.#status = undefined
    this.#forgetTold(epoch, number, before === undefined || isComparable)
    if (before && before.incarnation !== epoch.incarnation) return 'lost'
    return changes > 0 ? 'changed' : 'same'
  }

  #forgetTold({ changes }: Epoch, number: number, isComparable: boolean): void {
    const unread = this.#unread
    if (!unread || number <= unread.after) return
    if (unread.base === undefined || !isComparable) unread.base = changes
    // Whatever was counted since then: no entry has a name with this count that is older than what was told.
    else if (changes > unread.base) this.#unread = undefined
  }

  /** Takes note of the engine's count before it counts what nodes have told each other. */
  setBase({ changes }: Epoch): void {
    if (this.#unread) this.#unread.base ??= changes
  }

  /** The engine could not be asked: a lease may be open. */
  failed(): void {
    this.#isCurrent = false
    this.#status = undefined
  }

  /** Counts a change that the engine may not know of. @param begun number of reads that have begun */
  change(begun: number): void {
    this.#generation++
    this.#tag(begun)
  }

  /** Counts a lease that the engine may not know of. */
  opened(begun: number): void {
    this.#openings++
    this.#told++
    this.#tag(begun)
  }

  /** Such a lease has ended, or the engine knows of it now. */
  closed(): void {
    this.#told = Math.max(0, this.#told - 1)
    this.#status = undefined
  }

  #tag(begun: number): void {
    this.#unread = { after: begun, base: undefined }
    this.#status = undefined
  }
}
