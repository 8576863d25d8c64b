import type { BigIntStats } from 'node:fs'
import type { DirectoryEntries } from '../filesystem/directory-entries.js'
import type { Place } from '../filesystem/open-directory.js'
import { recordShallow } from './object-store-state.js'
import type { RefDetails, RefPart } from './ref-details.js'
import { RefsWalk, type RefLimits, type WalkProblem } from './refs-walk.js'
import { digestSoFar, type RepositoryState, type StateDigest } from './repository-state.js'
import type { OpenRepository } from './repository.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** What an observation of refs has found. */
export interface ObservedRefs extends StateDigest {
  /** Was every loose ref checked? Otherwise one that is overwritten in place may go unnoticed. */
  readonly allLoose: boolean
  /** What was seen, for finding what has changed later; undefined: not kept, because refs may be reached by links. */
  readonly details?: RefDetails | undefined
}

/**
 * Observes all that decides the bytes of an advertisement, on top of what `observeRepository` has recorded in the same
 * snapshot.
 *
 * Which files decide: HEAD, packed-refs, each directory under refs/ (a loose ref is written by a rename into its
 * directory, refs/files-backend.c), each loose ref (for writers other than Git that write in place),
 * reftable/tables.list by its content (a table is added by rewriting it; its stat may stay equal), and shallow.
 */
export async function observeRefs(
  snapshot: StatSnapshot,
  { git, common, stats, allowedLinkTargets }: OpenRepository,
  { config, capabilities }: RepositoryState,
  limits: RefLimits,
): Promise<ObservedRefs | WalkProblem> {
  const { records } = snapshot
  const start = records.length
  snapshot.record(git.at('HEAD'), stats.HEAD)
  const packedRefs = records.length
  recordPart(snapshot, common.at('packed-refs'), stats['packed-refs'])
  const shallow = records.length
  recordShallow(snapshot, common)
  const walk = new RefsWalk(snapshot, limits, allowedLinkTargets)
  const tables = records.length
  if (stats.reftable) snapshot.recordContent(common.at('reftable/tables.list'))
  const refs = records.length
  let problem = await walk.record(common.at('refs'), stats.refs)
  const end = records.length
  const { identity } = common
  const part = { identity, tables: [tables, refs], refs: [refs, end], ...walk.takeDirectories() } as const
  let own: RefPart | undefined
  if (!problem && git !== common) {
    snapshot.recordContent(git.at('reftable/tables.list'))
    const ownRefs = records.length
    problem = await walk.record(git.at('refs'))
    const ranges = { tables: [end, ownRefs], refs: [ownRefs, records.length] } as const
    own = { identity: git.identity, ...ranges, ...walk.takeDirectories() }
  }
  if (problem) return problem
  const hasLinks = walk.hasAliases || isLinked(stats) || (own && isWorktreeLinked(snapshot.entries(git)))
  const details: RefDetails | undefined = hasLinks
    ? undefined
    : {
        configuration: capabilities.token,
        records,
        head: [start, packedRefs],
        packedRefs: [packedRefs, shallow],
        shallow: [shallow, tables],
        common: part,
        own,
      }
  return { ...digestSoFar(snapshot, config), allLoose: walk.allLoose, details }
}

/** Is a part with refs, other than HEAD, a link? */
const isLinked = (stats: OpenRepository['stats']): boolean =>
  [stats.refs, stats['packed-refs'], stats.reftable].some((part) => part?.isSymbolicLink())

/** The same for what a linked worktree has of its own. */
const isWorktreeLinked = (entries: DirectoryEntries | undefined): boolean =>
  !entries || ['refs', 'reftable'].some((part) => entries.get(part) === 'link')

/** A part of a repository may be a link: then both the link and its target decide. */
function recordPart(snapshot: StatSnapshot, place: Place, stats: BigIntStats | undefined): void {
  snapshot.record(place, stats)
  if (stats?.isSymbolicLink()) snapshot.stat(place)
}
