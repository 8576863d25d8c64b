import type { ClientCredentials } from '../target.js'
import type { UpstreamClient } from './client/upstream-client.js'
import type { CredentialSource } from './credentials/credential-source.js'

/** Another Git server behind refstream, as it is configured. */
export interface Upstream {
  /** Host and port: the `upstream` label of metrics. */
  readonly name: string
  /** Scheme, host, port, and the base path without a slash at its end. */
  readonly url: string
  readonly client: Pick<UpstreamClient, 'request'>
  /** Whose credentials are sent: those of refstream; undefined: those of each client. */
  readonly service: CredentialSource | undefined
  /**
   * Is a redirect to another repository followed? Not where refstream has checked access by the path, or has sent its own
   * credentials: then the client is redirected, so that access is checked for the other path.
   */
  readonly followsRenames: boolean
  /** Do all who may read a repository see the same of it? */
  readonly isShared: boolean
}

/** A repository of an upstream, as one client sees it. */
export interface UpstreamRepository {
  readonly upstream: Upstream
  /** Its path as in `Target`: decoded. */
  readonly name: string
  /** Its path below the upstream's URL, percent-encoded, with a slash before it; empty: the URL itself. */
  readonly path: string
  /** Names it for leases and invalidations, see `subjectOf`. */
  readonly subject: string
  /** What the client's requests bring with them to the upstream. */
  readonly credentials: ClientCredentials
  /** Names what the client may see of it: clients of one view get the same answers. */
  readonly view: string
  /** Names who the client is: the upstream's verdict for one client holds for all of the same name. */
  readonly client: string
  /** How old answers may be, in milliseconds; 0: each is newer than its request. */
  readonly maxAgeMs: number
}

/** Names a repository by where it is: what keys of entries end in. */
export const addressOf = ({ upstream, path }: UpstreamRepository): string => upstream.url + path
