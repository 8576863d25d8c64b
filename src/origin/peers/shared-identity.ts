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

/** @throws PeerRefused if a repository here is another one than that of the node that asks (R8) */
export function requireSame(repository: Repository, asked: string): void {
  if (sharedIdentityOf(repository) !== asked)
    throw new PeerRefused('different', 'the repository is another one here: nodes must have one filesystem')
}
