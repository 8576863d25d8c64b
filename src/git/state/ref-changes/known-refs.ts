import { mountOf } from '../../filesystem/mount-of.js'
import { RemotePath, type PathGuard } from '../../filesystem/path-guard.js'
import { isSystemError } from '../../filesystem/system-errors.js'
import type { RecordRange, RefDetails, RefPart } from '../ref-details.js'
import { reopenRepository, RepositoryExchanged } from '../reopen-repository.js'
import type { Repository } from '../repository.js'
import { CandidateNames } from './candidate-names.js'
import { FullNeeded, type FullReason } from './full-reason.js'
import type { ListedRefs } from './listed-refs.js'
import { addLooseChanges, type SeenPart } from './loose-changes.js'
import { Pace } from './pace.js'
import { addPackedChanges } from './packed-refs-changes.js'
import { PackedRefsFile } from './packed-refs-file.js'
import { addTableChanges, tableSymrefs, type ChangeLimits, type TableReader } from './table-changes.js'

/** What a search for changes needs besides what was observed. */
export interface KnownRefsOptions {
  readonly tables: TableReader
  /** May files on a mount be held open? It cannot be unmounted then. Left out: on all. */
  readonly mayHoldOn?: (mount: string) => boolean
  /** Called before a path is used; left out: no path can lead to a filesystem that may hang. */
  readonly guard?: () => PathGuard | undefined
}

/** Bytes of memory per record, about: identity, name and version. */
const bytesPerRecord = 160

/**
 * What is remembered of a settled state of a repository's refs, to find later which refs may have changed since.
 *
 * D0 is the observation of that state, of which a listing was made and kept; D1 is a later one. Why the candidates are a
 * superset of the names whose line in Git's answer differs between the listing and any moment up to D1:
 *
 * 1. D0 was settled: each timestamp in it was older than its granularity. So what was changed after D0 has another stat
 *    than in D0, and D1 shows it, even if D1 itself is unsettled: that it may hide a change that comes after it is for
 *    the observation after the fill to find, as with any fill, and what is made in an unsettled state is not kept.
 * 2. Refs in files. What Git says of a name follows from the loose ref of that name, or if there is none from its line in
 *    packed-refs, or if that is a symbolic ref from the same for its target. A loose ref is written by a rename, so it is
 *    another inode, or in place, which moves its ctime; it is created, removed or replaced by a directory under its own
 *    name. Each of these is a record that only one of D0 and D1 has, and makes its name a candidate. A line of
 *    packed-refs changes only with the file, of which both versions are compared: `pack-refs`, `gc`, and the deletion of a
 *    packed ref rewrite it. A lock file, or an empty directory that comes or goes, is no ref.
 * 3. Symbolic refs. One that changes is a loose ref that changes. One whose target changes does not change itself, nor
 *    does the first of a chain A, B, C if B is changed; so all symbolic refs in the listing are candidates each time.
 *    Those that lead nowhere are in no listing: so all loose refs that the listing lacks are candidates, which covers
 *    hidden refs too. packed-refs has no symbolic refs; of reftables, all names that have
 *    ever been one are remembered.
 * 4. Refs in reftables. A table never changes, and `tables.list` is compared by its content. A name whose newest record
 *    changed has a record in a table that D0 did not have.
 * 5. HEAD is always a candidate. If its file was changed, or anything else differs that decides Git's answer (configuration
 *    with hidden refs, `shallow`, Git's programs, the environment), or the record of anything cannot be explained, all refs
 *    must be listed.
 *
 * What is outside of the state that an observation names is outside here as well: objects, of which Git shows what a tag
 * points to in the end.
 */
export class KnownRefs {
  /** Of memory, about. */
  readonly bytes: number
  readonly #repository: Repository
  readonly #details: RefDetails
  readonly #options: KnownRefsOptions
  /** packed-refs as it was, if it existed: the file stays readable when another one takes its name. */
  readonly #packedRefs: PackedRefsFile | undefined
  /** Names that are symbolic refs in reftables, or have been one. */
  readonly #tableSymrefs: readonly string[]
  /** Was packed-refs there, and may not be held? Then its next version cannot be compared with it. */
  readonly #isLeft: boolean
  #closed = false

  private constructor(
    repository: Repository,
    details: RefDetails,
    options: KnownRefsOptions,
    packedRefs: PackedRefsFile | undefined,
    symrefs: readonly string[],
    isLeft: boolean,
  ) {
    this.#isLeft = isLeft
    this.#repository = repository
    this.#details = details
    this.#options = options
    this.#packedRefs = packedRefs
    this.#tableSymrefs = symrefs
    const names = symrefs.reduce((length, name) => length + name.length + 16, 0)
    this.bytes = details.records.length * bytesPerRecord + names + 1000
  }

  /**
   * Remembers a state that was just observed and settled. Opens packed-refs, which must still be the one that was seen.
   * @returns why changes could not be told, if so; otherwise close it
   */
  static async remember(
    repository: Repository,
    details: RefDetails,
    options: KnownRefsOptions,
  ): Promise<KnownRefs | FullReason> {
    let packedRefs: PackedRefsFile | undefined
    let known: KnownRefs | undefined
    try {
      return await withDirectories(repository, options, async ({ common, git, guard }) => {
        packedRefs = await PackedRefsFile.open(common, guard)
        const version = packedRefs?.version ?? '-'
        if (!packedRecord(details).endsWith(`/packed-refs ${version}`)) throw new FullNeeded('packed-refs')
        const symrefs: string[] = []
        for (const [part, directory] of [[details.common, common] as const, [details.own, git] as const]) {
          if (!part) continue
          const open = { directory, seen: seen(details, part), guard }
          symrefs.push(...(await tableSymrefs(open, options.tables)))
        }
        const mount = packedRefs && mountOf(packedRefs.handle.fd)
        const isLeft = mount !== undefined && options.mayHoldOn?.(mount) === false
        const held = isLeft ? undefined : packedRefs
        known = new KnownRefs(repository, details, options, held, symrefs, isLeft)
        if (isLeft) await packedRefs?.close()
        return known
      })
    } catch (error) {
      return reasonOf(error)
    } finally {
      if (!known) await packedRefs?.close()
    }
  }

  /**
   * Returns the names whose refs may have changed up to another observation: bytes as Latin-1, canonical, always with
   * HEAD. Each stands for all names that begin with it.
   * @param now a later observation of the same repository, which need not be settled
   * @param listing of the state that is remembered
   * @returns why all refs must be listed, if what changed cannot be told
   * @throws the signal's reason if it aborts
   */
  async candidates(
    now: RefDetails,
    listing: ListedRefs,
    limits: ChangeLimits,
    signal: AbortSignal,
  ): Promise<readonly string[] | FullReason> {
    try {
      signal.throwIfAborted()
      return await this.#candidates(now, listing, limits, signal)
    } catch (error) {
      signal.throwIfAborted()
      return this.#closed ? { full: 'unreadable' } : reasonOf(error)
    }
  }

  /** Closes packed-refs, as soon as nothing is read from it. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    void this.#packedRefs?.close()
  }

  async #candidates(
    now: RefDetails,
    listing: ListedRefs,
    limits: ChangeLimits,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const before = this.#details
    requireSameBasis(before, now)
    const candidates = new CandidateNames(limits.candidates)
    candidates.add('HEAD')
    for (const { name } of listing.symrefs()) candidates.add(name.toString('latin1'))
    for (const name of this.#tableSymrefs) candidates.add(name)

    const pace = new Pace(signal)
    const parts = [
      { before: before.common, now: now.common, isCommon: true },
      ...(before.own && now.own ? [{ before: before.own, now: now.own, isCommon: false }] : []),
    ].map((part) => ({ ...part, before: seen(before, part.before), now: seen(now, part.now) }))
    for (const part of parts) await addLooseChanges(candidates, part.before, part.now, listing, pace)

    const isRepacked = packedRecord(before) !== packedRecord(now)
    if (
      !isRepacked &&
      parts.every((part) => areEqual(part.before, part.before.tables, part.now, part.now.tables))
    )
      return candidates.canonical()
    await withDirectories(this.#repository, this.#options, async ({ common, git, guard }) => {
      for (const part of parts) {
        const open = { directory: part.isCommon ? common : git, seen: part.now, guard }
        const { tables } = this.#options
        await addTableChanges(candidates, part.before, open, tables, listing, limits, signal)
      }
      if (!isRepacked) return
      if (this.#isLeft) throw new FullNeeded('packed-refs')
      const current = await PackedRefsFile.open(common, guard)
      try {
        await this.#packedRefs?.requireUnwritten()
        await addPackedChanges(candidates, this.#packedRefs?.handle, current?.handle, pace)
      } finally {
        await current?.close()
      }
    })
    return candidates.canonical()
  }
}

const seen = ({ records }: RefDetails, part: RefPart): SeenPart => ({ ...part, records })

const packedRecord = ({ records, packedRefs: [start, end] }: RefDetails): string =>
  records.slice(start, end).join('\0')

/** Are two ranges of records equal? */
function areEqual(
  one: Pick<RefDetails, 'records'>,
  [start, end]: RecordRange,
  other: Pick<RefDetails, 'records'>,
  [otherStart, otherEnd]: RecordRange,
): boolean {
  if (end - start !== otherEnd - otherStart) return false
  for (let index = start; index < end; index++) {
    if (one.records[index] !== other.records[otherStart + index - start]) return false
  }
  return true
}

/** All that decides Git's answer besides refs must be the same. @throws FullNeeded */
function requireSameBasis(before: RefDetails, now: RefDetails): void {
  const isSame =
    before.configuration === now.configuration &&
    before.common.identity === now.common.identity &&
    before.own?.identity === now.own?.identity &&
    areEqual(before, before.shallow, now, now.shallow)
  if (!isSame) throw new FullNeeded('configuration')
  if (!areEqual(before, before.head, now, now.head)) throw new FullNeeded('head')
}

/** Opens the directories of a repository, and closes them. @throws RepositoryExchanged, RemotePath */
async function withDirectories<T>(
  repository: Repository,
  { guard }: KnownRefsOptions,
  use: (
    directories: Pick<ReturnType<typeof reopenRepository>, 'git' | 'common'> & {
      guard: PathGuard | undefined
    },
  ) => Promise<T>,
): Promise<T> {
  const current = guard?.()
  const opened = reopenRepository(repository, current)
  try {
    return await use({ git: opened.git, common: opened.common, guard: current })
  } finally {
    opened.close()
  }
}

/** Returns why changes cannot be told. @throws the error if it is not about the repository */
function reasonOf(error: unknown): FullReason {
  if (error instanceof FullNeeded) return { full: error.full }
  if (isSystemError(error) || error instanceof RepositoryExchanged || error instanceof RemotePath)
    return { full: 'unreadable' }
  throw error
}
