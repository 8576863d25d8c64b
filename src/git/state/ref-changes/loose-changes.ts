import type { RefDetails, RefPart } from '../ref-details.js'
import type { CandidateNames } from './candidate-names.js'
import type { ListedRefs } from './listed-refs.js'
import type { Pace } from './pace.js'

/** The directory of refs itself, which a linked worktree need not have. */
const top = 'refs'

/** The refs of one directory of a repository, as an observation has recorded them. */
export interface SeenPart extends RefPart {
  readonly records: RefDetails['records']
}

/**
 * The file that a repository with reftables has in place of a directory, so that programs which know none do not take it for
 * an empty repository (gitrepository-layout(5)). As a prefix, its name would mean each branch.
 */
const reftableMark = 'refs/heads'

/**
 * Adds the names of loose refs that one of two observations has alone, or as another version; and of those that both have
 * and the listing has not: a symbolic ref to a ref that did not exist, a file that is no ref yet, or a hidden ref.
 *
 * A directory adds nothing: what was created, replaced or removed in it is another record of its own. Only where the refs
 * in it were not checked one by one, in either observation, all its names are added, by their common beginning.
 */
export async function addLooseChanges(
  candidates: CandidateNames,
  before: SeenPart,
  now: SeenPart,
  listing: ListedRefs,
  pace: Pace,
): Promise<void> {
  for (const part of [before, now])
    for (const index of part.unchecked) candidates.add(`${nameOf(part, index)}/`)

  const [beforeStart, beforeEnd] = before.refs
  const [nowStart, nowEnd] = now.refs
  // Mostly, two observations differ in a few records, and the walk's order is the same.
  let same = 0
  const length = Math.min(beforeEnd - beforeStart, nowEnd - nowStart)
  while (same < length && before.records[beforeStart + same] === now.records[nowStart + same]) {
    same++
    if (pace.isDue) await pace.rest()
  }
  const gone = new Map<string, number>()
  for (let index = beforeStart + same; index < beforeEnd; index++) {
    gone.set(before.records[index]!, index)
    if (pace.isDue) await pace.rest()
  }
  const hasTables = hasReftables(now)
  const isDirectory = membership(now.directories)
  for (let index = nowStart; index < nowEnd; index++) {
    if (pace.isDue) await pace.rest()
    const isNew = index >= nowStart + same && !gone.delete(now.records[index]!)
    const name = nameOf(now, index)
    if (isDirectory(index) || name === top) continue
    if (isNew) candidates.add(name)
    else if (hasTables && name === reftableMark) continue
    else if (!candidates.has(name) && !listing.find(Buffer.from(name, 'latin1'))) candidates.add(name)
  }
  const wasDirectory = membership(before.directories)
  for (const index of gone.values()) {
    if (pace.isDue) await pace.rest()
    const name = nameOf(before, index)
    if (!wasDirectory(index) && name !== top) candidates.add(name)
  }
}

/** Returns the content of reftable/tables.list; undefined: there is none. */
export function tablesOf({ records, tables: [start, end], identity }: SeenPart): string | undefined {
  if (end - start !== 1) return undefined
  const content = records[start]!.slice(`${identity}/reftable/tables.list `.length)
  return content === '-' ? undefined : content
}

const hasReftables = (part: SeenPart): boolean => tablesOf(part) !== undefined

/** Returns the path of a record's place below the repository's directory: for a loose ref, its name. */
function nameOf({ records, identity }: SeenPart, index: number): string {
  const record = records[index]!
  return record.slice(identity.length + 1, record.lastIndexOf(' '))
}

/** Returns a function that tells whether a number is in a list; both the list and the calls must ascend. */
function membership(ascending: readonly number[]): (value: number) => boolean {
  let at = 0
  return (value) => {
    while (at < ascending.length && ascending[at]! < value) at++
    return ascending[at] === value
  }
}
