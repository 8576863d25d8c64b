import { isSystemError } from '../../filesystem/system-errors.js'
import type { ListedRefs } from '../ref-changes/listed-refs.js'
import { DamagedTable } from './damaged-table.js'
import { withTable } from './open-table.js'
import type { RefRecord } from './ref-records.js'
import { isCompacted, stackChange } from './stack-change.js'
import { isInRefs } from './symref-names.js'
import { scanRefs } from './table-refs.js'

/** Why the names that changed cannot be told. */
export interface TablesUnclear {
  readonly full: 'reftable' | 'candidates'
}

/**
 * Returns the names, without HEAD, that may differ between a listing and a stack of reftables that has changed since; bytes as
 * Latin-1. Reads only the tables that are new.
 *
 * Why these are all: the state is, for each name, the record in the topmost table that has one. A name whose state has changed
 * has another topmost record, which an update has written to a table on top, or a compaction has copied from one. A compaction
 * replaces tables that follow one another by one with the topmost record of each name in them. It leaves out deletions only
 * if the bottom table is among them (`first == 0` in stack_write_compact of Git's reftable/stack.c; `setIncludeDeletes(first >
 * 0)` in JGit's FileReftableStack): then a deleted name would be in no new table. So while the bottom table stays, a name that
 * has changed has a record in a new table, and the topmost of these records is its state. A listing that differs from this
 * state differs from that record. (Expiry of reflogs leaves out records of logs only.)
 *
 * A stack that goes back to older tables (a backup was restored) breaks this. It is noticed by its shape: see `stackChange`,
 * and `isCompacted`, which compares update indexes. A table whose name came back with other content would not be read;
 * but names contain 32 random bits and update indexes, which grow as long as the topmost table is not dropped. Git relies on
 * the same: it keeps open tables by name (reftable_stack_reload_maybe_reuse).
 *
 * @param before lines of tables.list in the listing's state
 * @param now lines of tables.list now
 * @returns `{ full: 'reftable' }` too if a table is missing, damaged or unreadable, or if HEAD points to another branch
 * @throws the signal's reason
 */
export async function changedInTables(
  directory: string,
  before: readonly string[],
  now: readonly string[],
  listing: ListedRefs,
  limits: { readonly candidates: number },
  signal?: AbortSignal,
): Promise<readonly string[] | TablesUnclear> {
  const changes = stackChange(before, now)
  if (!changes) return { full: 'reftable' }
  const changed = new ChangedNames(listing, limits.candidates)
  try {
    for (const { added, gone } of changes) {
      const layouts = []
      for (const table of added) {
        signal?.throwIfAborted()
        const scan = withTable(directory, table, (file) =>
          scanRefs(file, (record) => changed.add(record), signal),
        )
        layouts.push(await scan)
        if (changed.unclear) return changed.unclear
      }
      if (!isCompacted(gone, layouts)) return { full: 'reftable' }
    }
  } catch (error) {
    if (error instanceof DamagedTable || isSystemError(error)) return { full: 'reftable' }
    throw error
  }
  return [...changed.names].sort()
}

/** Names of records that do not say what a listing says. */
class ChangedNames {
  readonly names = new Set<string>()
  unclear: TablesUnclear | undefined
  readonly #listing: ListedRefs
  readonly #max: number

  constructor(listing: ListedRefs, max: number) {
    this.#listing = listing
    this.#max = max
  }

  /** Returns false if no more records are needed. */
  add(record: RefRecord): boolean {
    // Others outside of refs/, such as ORIG_HEAD, are in no listing. Symbolic refs to them are candidates as such.
    if (isInRefs(record.name)) {
      if (this.#isChanged(record)) this.names.add(record.name.toString('latin1'))
      if (this.names.size > this.#max) this.unclear = { full: 'candidates' }
    } else if (isHead(record.name) && !this.#isSameHead(record)) this.unclear = { full: 'reftable' }
    return this.unclear === undefined
  }

  #isChanged({ type, name, objectId, peeled }: RefRecord): boolean {
    if (type === 'symref') return true
    const listed = this.#listing.find(name)
    if (type === 'deletion' || !listed) return listed !== undefined || type !== 'deletion'
    return listed.objectId !== objectId || listed.peeled !== peeled || listed.symrefTarget !== undefined
  }

  /** HEAD's value is asked for in any case; but capabilities name the branch that it points to. */
  #isSameHead({ type, target }: RefRecord): boolean {
    const head = this.#listing.find(headName)
    if (type === 'symref') return head?.symrefTarget?.equals(target) ?? false
    return type !== 'deletion' && head !== undefined && head.symrefTarget === undefined
  }
}

const headName = Buffer.from('HEAD')
const isHead = (name: Buffer): boolean => name.equals(headName)
