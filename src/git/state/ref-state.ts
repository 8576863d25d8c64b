import type { BigIntStats } from 'node:fs'
import type { Place } from '../filesystem/open-directory.js'
import { recordShallow } from './object-store-state.js'
import { RefsWalk, type RefLimits, type WalkProblem } from './refs-walk.js'
import { digestSoFar, type RepositoryState, type StateDigest } from './repository-state.js'
import type { OpenRepository } from './repository.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** What an observation of refs has found. */
export interface ObservedRefs extends StateDigest {
  /** Was every loose ref checked? Otherwise one that is overwritten in place may go unnoticed. */
  readonly allLoose: boolean
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
  { config }: RepositoryState,
  limits: RefLimits,
): Promise<ObservedRefs | WalkProblem> {
  snapshot.record(git.at('HEAD'), stats.HEAD)
  recordPart(snapshot, common.at('packed-refs'), stats['packed-refs'])
  recordShallow(snapshot, common)
  const walk = new RefsWalk(snapshot, limits, allowedLinkTargets)
  if (stats.reftable) snapshot.recordContent(common.at('reftable/tables.list'))
  let problem = await walk.record(common.at('refs'), stats.refs)
  if (!problem && git !== common) {
    snapshot.recordContent(git.at('reftable/tables.list'))
    problem = await walk.record(git.at('refs'))
  }
  return problem ?? { ...digestSoFar(snapshot, config), allLoose: walk.allLoose }
}

/** A part of a repository may be a link: then both the link and its target decide. */
function recordPart(snapshot: StatSnapshot, place: Place, stats: BigIntStats | undefined): void {
  snapshot.record(place, stats)
  if (stats?.isSymbolicLink()) snapshot.stat(place)
}
