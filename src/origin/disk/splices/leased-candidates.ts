import { CandidateNames } from '../../../git/state/ref-changes/candidate-names.js'
import { FullNeeded } from '../../../git/state/ref-changes/full-reason.js'
import type { RefListing } from '../../../git/protocol/ref-listing.js'
import type { UnsplicedReason } from './splice-reports.js'

/**
 * Returns the names to ask Git for after changes under leases: bytes as Latin-1, canonical, always with HEAD; or why all refs
 * must be listed.
 *
 * Why they are a superset of what these leases may have changed in the listing. Each lease has named the refs that it changed.
 * A ref that it has not changed looks different only if it is a symbolic ref, and something that it leads to was changed:
 *
 * - If the listing shows it, it is a candidate, as all symbolic refs in the listing are.
 * - If not, it leads nowhere. The disk is not looked at, so it is not known. But what makes it lead somewhere is a ref that was
 *   changed, that it leads to, and that led nowhere either: one that is not in the listing. So all refs are listed if one was
 *   changed that is not in the listing: created, say, or hidden.
 * - Git follows five symbolic refs at most, so a change of one that leads somewhere can make a longer chain valid: all refs are
 *   listed if a symbolic ref was changed. HEAD is named by Git 2.39 whenever its branch is; the caller has to compare where it
 *   points (`headTarget`).
 *
 * @param names what the leases have changed
 */
export function leasedCandidates(
  names: readonly string[],
  listing: RefListing,
  limit: number,
): readonly string[] | UnsplicedReason {
  const candidates = new CandidateNames(limit)
  const symrefs = new Set(listing.symrefs().map(({ name }) => name.toString('latin1')))
  try {
    candidates.add('HEAD')
    for (const name of symrefs) candidates.add(name)
    for (const name of names) {
      if (!isListed(name, listing)) return 'new'
      if (name !== 'HEAD' && symrefs.has(name)) return 'symref'
      candidates.add(name)
    }
    return candidates.canonical()
  } catch (error) {
    if (error instanceof FullNeeded) return error.full
    throw error
  }
}

/** Is a ref in the listing, and not as a HEAD whose branch is unborn? */
const isListed = (name: string, listing: RefListing): boolean =>
  listing.find(Buffer.from(name, 'latin1')) !== undefined && !(name === 'HEAD' && listing.startsUnborn)

/** Returns where HEAD points in the end; undefined: it is detached, its branch is unborn, or it is not listed. */
export const headTarget = (listing: RefListing): string | undefined =>
  listing
    .symrefs()
    .find(({ name }) => name.toString('latin1') === 'HEAD')
    ?.target.toString('latin1')
