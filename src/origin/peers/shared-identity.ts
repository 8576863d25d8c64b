import { PeerRefused } from '../../fleet/peers/peer.js'
import type { ObservedState } from '../../freshness/observed-state.js'
import type { ServingConfig } from '../../git/process/serving-config.js'
import type { Repository } from '../../git/state/repository.js'
import type { DiskQuestion } from './peer-question.js'

/**
 * Returns what a repository has in common on all nodes that have it from one filesystem: its name below the root, and the
 * inodes of its directories. Device numbers and, on some filesystems, birth times differ from host to host. What makes its bytes
 * must be the same too: one node may hide refs that another shows.
 * @param serving names the Git and its configuration
 */
export const sharedIdentityOf = (
  { gitName, commonName, gitIdentity, commonIdentity }: Repository,
  { digest }: Pick<ServingConfig, 'digest'>,
): string => JSON.stringify([gitName, inodeOf(gitIdentity), commonName, inodeOf(commonIdentity), digest])

/** See `OpenDirectory.identity`. */
const inodeOf = (identity: string): string => identity.split(':')[1] ?? ''

/** @throws PeerRefused if a repository here is another one than that of the node that asks (R8) */
export function requireSame(repository: Repository, serving: ServingConfig, asked: string): void {
  if (sharedIdentityOf(repository, serving) !== asked)
    throw new PeerRefused(
      'different',
      'the repository is another one here: nodes must have one filesystem, and the same version and configuration of Git',
    )
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
