import { PeerRefused } from '../../fleet/peers/peer.js'
import type { Repository } from '../../git/state/repository.js'

/**
 * Returns what a repository has in common on all nodes that have it from one filesystem: its name below the root, and the
 * inodes of its directories. Device numbers and, on some filesystems, birth times differ from host to host.
 */
export const sharedIdentityOf = ({ gitName, commonName, gitIdentity, commonIdentity }: Repository): string =>
  JSON.stringify([gitName, inodeOf(gitIdentity), commonName, inodeOf(commonIdentity)])

/** See `OpenDirectory.identity`. */
const inodeOf = (identity: string): string => identity.split(':')[1] ?? ''

/** What two nodes must have in common for one to serve the other's bytes of a repository. */
export interface SharedServing {
  /** See `sharedIdentityOf`. */
  readonly repository: string
  /** See `ServingConfig.digest`. */
  readonly serving: string
}

/**
 * @throws PeerRefused if a repository here is another one than that of the node that asks, or if another Git or another
 * configuration makes its bytes (R8)
 */
export function requireSame(here: SharedServing, asked: SharedServing): void {
  if (here.repository !== asked.repository)
    throw new PeerRefused('different', 'the repository is another one here: nodes must have one filesystem')
  if (here.serving !== asked.serving)
    throw new PeerRefused(
      'different',
      'nodes must have the same Git version, the same GIT_* variables and the same configuration of Git',
    )
}

/** Returns how old bytes may be that another node makes, for a state of that longest age; undefined: see DiskQuestion. */
export const oldestMsFor = (maxAgeMs: number): { oldestMs?: number } =>
  maxAgeMs === Infinity ? {} : { oldestMs: maxAgeMs / 2 }

/**
 * Returns the longest age of entries that may answer another node; see `FreshCache`.
 * @param maxAgeMs of the state here
 * @throws PeerRefused if the disk tells that node of every change, but not this one
 */
export function maxAgeForPeer(maxAgeMs: number, oldestMs: number | undefined): number {
  if (maxAgeMs === Infinity) return maxAgeMs
  if (oldestMs === undefined)
    throw new PeerRefused('different', 'changes of the repository are not seen on the disk here')
  return Math.min(maxAgeMs / 2, oldestMs)
}
