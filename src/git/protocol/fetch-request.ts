import type { FetchDependency, UnsharedReason } from './fetch-arguments.js'
import { FetchDigest } from './fetch-digest.js'
import { parseFetchV0 } from './fetch-v0.js'
import { parseFetchV2 } from './fetch-v2.js'
import type { ProtocolVersion } from './version.js'

export type { FetchDependency, UnsharedReason } from './fetch-arguments.js'

/** A request for a pack, or for a round of the negotiation that leads to one. */
export interface FetchRequest {
  readonly version: ProtocolVersion
  /** sha1 unless the request says otherwise. */
  readonly objectFormat: string
  readonly dependsOn: FetchDependency
  /**
   * Does every whole answer end in a flush packet? Not in v0 and v1 if the request ends without `done`: a round of
   * negotiation ends in its last ACK or NAK, and may yet end in a pack (no-done).
   */
  readonly endsInFlush: boolean
  /** SHA-256 (base64url) of the version and the packets in their order, without agent and session-id. */
  readonly digest: string
  /** The request as Git is to read it: inflated. */
  readonly body: Buffer
}

/** Parses a whole request body; returns why it is not shared if it is not exactly one fetch that Git is sure to read so. */
export function parseFetch(body: Buffer, version: ProtocolVersion): FetchRequest | UnsharedReason {
  // Git would read a line only up to a NUL.
  if (body.includes(0)) return 'malformed'
  const digest = new FetchDigest(body, version)
  const parsed = version === 2 ? parseFetchV2(body, digest) : parseFetchV0(body, digest)
  return typeof parsed === 'string' ? parsed : { version, ...parsed, digest: digest.end(), body }
}
