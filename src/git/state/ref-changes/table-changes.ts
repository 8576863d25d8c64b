import type { OpenDirectory } from '../../filesystem/open-directory.js'
import type { PathGuard } from '../../filesystem/path-guard.js'
import type { CandidateNames } from './candidate-names.js'
import { FullNeeded, type FullReason } from './full-reason.js'
import type { ListedRefs } from './listed-refs.js'
import { tablesOf, type SeenPart } from './loose-changes.js'

/** How many changes are worth to be told. */
export interface ChangeLimits {
  /** Most candidates. */
  readonly candidates: number
}

/** Reads reftables. */
export interface TableReader {
  /** Returns the names of all symbolic refs in tables: one that leads nowhere is in no listing. */
  symrefNames(directory: string, tables: readonly string[], signal?: AbortSignal): Promise<readonly string[]>
  /** Returns the names whose newest record may differ from the listing. */
  changedInTables(
    directory: string,
    before: readonly string[],
    now: readonly string[],
    listing: ListedRefs,
    limits: ChangeLimits,
    signal: AbortSignal,
  ): Promise<readonly string[] | FullReason>
}

/** A part of a repository that is held open, as it was observed. */
export interface OpenPart {
  readonly directory: OpenDirectory
  readonly seen: SeenPart
  readonly guard: PathGuard | undefined
}

/** Returns the names of symbolic refs in a part's reftables. @throws FullNeeded if they cannot be read, RemotePath */
export async function tableSymrefs(part: OpenPart, reader: TableReader): Promise<readonly string[]> {
  const tables = tablesOf(part.seen)
  if (tables === undefined) return []
  const path = pathOf(part)
  const names = namesIn(tables)
  try {
    return await reader.symrefNames(path, names)
  } catch {
    // A table is damaged, or has been replaced by now.
    throw new FullNeeded('reftable')
  }
}

/** Adds the names that reftables have added or changed. @throws FullNeeded, RemotePath, what the reader throws */
export async function addTableChanges(
  candidates: CandidateNames,
  before: SeenPart,
  part: OpenPart,
  reader: TableReader,
  listing: ListedRefs,
  limits: ChangeLimits,
  signal: AbortSignal,
): Promise<void> {
  const [then, now] = [tablesOf(before), tablesOf(part.seen)]
  if (then === now) return
  // A repository has got another format, or is damaged.
  if (then === undefined || now === undefined) throw new FullNeeded('reftable')
  const [old, current] = [namesIn(then), namesIn(now)]
  const changed = await reader.changedInTables(pathOf(part), old, current, listing, limits, signal)
  if ('full' in changed) throw new FullNeeded(changed.full)
  for (const name of changed) candidates.add(name)
}

/** Returns the names of tables, which are names of files in the same directory. @throws FullNeeded */
function namesIn(content: string): string[] {
  const names = content.split('\n').filter((name) => name !== '')
  if (!names.every((name) => /^[\w.-]+$/.test(name) && !name.startsWith('.')))
    throw new FullNeeded('reftable')
  return names
}

function pathOf({ directory, guard }: OpenPart): string {
  const { path, real } = directory.at('reftable')
  guard?.check(real!)
  if (typeof path !== 'string') throw new FullNeeded('reftable')
  return path
}
