import { PeerRefused } from '../../fleet/peers/peer.js'
import type { ObservedState } from '../../freshness/observed-state.js'
import type { Repository } from '../../git/state/repository.js'
import type { DiskQuestion } from './peer-question.js'

/**
 * Returns what a repository has in common on all nodes that have it from one filesystem: its name below the root, and the
 * inodes of its directories. Device numbers and, on some filesystems, birth times differ from host to host.
 */
export const sharedIdentityOf = ({ gitName, commonName, gitIdentity, commonIdentity }: Repository): string =>
  JSON.stringify([gitName, inodeOf(gitIdentity), commonName, inodeOf(commonIdentity)])

/** See `OpenDirectory.identity`. */
const inodeOf = (identity: string): string => identity.split(':')[1] ?? ''

/** @throws PeerRefused if a repository here is another one than that of the node that asks (R8) */
export function requireSame(repository: Repository, asked: string): void {
  if (sharedIdentityOf(repository) !== asked)
    throw new PeerRefused('different', 'the repository is another one here: nodes must have one filesystem')
}

/** Returns how old the answer to another node may be, as its question has it. */
export const askedAge = (maxAgeMs: number): Pick<DiskQuestion, 'maxAgeMs'> =>
  maxAgeMs === Infinity ? {} : { maxAgeMs }

/**
 * Returns the age limit of an entry that may answer another node: half of the longest age at either node; see `FreshCache`.
 * @param state here
 * @param askedMs as `DiskQuestion.maxAgeMs`
 * @throws PeerRefused if the disk is observed there, and not here
 */
export function ageForPeer({ maxAgeMs }: Pick<ObservedState, 'maxAgeMs'>, askedMs = Infinity): number {
  // The other node would keep what answers here by leases alone for as long as its disk looks the same.
  if (askedMs === Infinity && maxAgeMs !== Infinity)
    throw new PeerRefused(
      'different',
      'here leases decide what is fresh, and at the asking node the disk does',
    )
  return Math.min(maxAgeMs, askedMs) / 2
}
