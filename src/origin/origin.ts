import type { Reading, Reuse } from '../freshness/fresh-cache.js'
import type { FetchRequest } from '../git/protocol/fetch-request.js'
import type { LsRefsRequest } from '../git/protocol/ls-refs.js'
import type { ProtocolVersion } from '../git/protocol/version.js'
import type { GitOverrides } from './git-overrides.js'
import type { OriginResponse, PassThroughAdmission, PassThroughRequest } from './pass-through.js'
import type { PackAnswer, PackClient } from './pack-answer.js'
import type { PassedReason } from './pack-answer.js'
import type { SharedListing } from './ref-listings.js'
import type { Target } from './target.js'

/** A listing to cut the answer to an ls-refs command from. */
export interface RefAnswer {
  readonly listing: SharedListing
  readonly reuse: Reuse
  /** The listing is older than its bound, because its origin cannot be asked. */
  readonly isStale?: boolean
  /** Milliseconds since its origin was asked; left out: it is the newest. */
  readonly ageMs?: number
}

/** Which refs a listing must have, at least; what is left out does not matter. */
export type RefsAsked = Partial<Pick<LsRefsRequest, 'objectFormat' | 'prefixes' | 'unborn'>>

/**
 * Where answers come from: repositories on a disk here, or another Git server. HTTP and gRPC see no more of it than this. Each
 * answer reflects all changes that had finished when it was asked for (R2), unless the origin was configured to give older ones.
 *
 * Each method rejects with RepositoryExchanged, or its result does, if the target's path leads to another repository
 * than the one that access was checked for; see `untilUnexchanged`.
 */
export interface Origin {
  /**
   * Returns the advertisement of a repository (protocol v2: the capability advertisement), to be read from a follower,
   * which the caller closes. undefined: its bytes differ from client to client, so the request must pass through.
   * @param followedByPost will its client go on with a POST, which must not be shed then (R5)?
   * @throws RepositoryNotFound, ServiceDisabled, FilesystemUnanswered, BackingOff, Overloaded, FillError
   */
  advertise(target: Target, version: ProtocolVersion, followedByPost?: boolean): Promise<Reading | undefined>

  /**
   * Streams an advertisement for one client alone, because of its overrides or because bytes differ from client to client.
   * @throws as `advertise`, and InvalidGitOverrides; while it is read, the signal's reason
   */
  advertiseUncached(
    target: Target,
    version: ProtocolVersion,
    overrides: GitOverrides,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Buffer>>

  /**
   * Returns a listing that holds the answer to an ls-refs command.
   * @returns undefined: the request would be refused, so it must pass through
   * @throws RepositoryNotFound, ServiceDisabled, FilesystemUnanswered, BackingOff, FillError
   */
  listRefs(target: Target, asked?: RefsAsked): Promise<RefAnswer | undefined>

  /**
   * Returns the answer to a fetch. undefined: it must pass through, which is counted.
   * @throws as `advertise`; PackRefused as a FillError's cause
   */
  fetch(target: Target, asked: FetchRequest, client: PackClient): Promise<PackAnswer | undefined>

  /**
   * Answers a request that changes nothing, as it is.
   * @throws as `advertise`, GitError, UpstreamUnavailable, or the queueing signal's reason
   */
  passThrough(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): Promise<OriginResponse>

  /** Does the same for a request that may change the repository (a push), and holds a lease meanwhile. @throws PushRefused */
  mutate(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): Promise<OriginResponse>

  /** Counts a fetch that passes through because it cannot be shared. */
  passed(reason: PassedReason): void
}
