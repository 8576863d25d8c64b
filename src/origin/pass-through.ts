import type { Readable } from 'node:stream'

/** A request that refstream does not answer itself, for the origin to answer. */
export interface PassThroughRequest {
  readonly method: string
  /** Path and query of the request target, as they were sent. */
  readonly uri: string
  /** Alternating names and values, as they were sent. */
  readonly headers: readonly string[]
  readonly body: PassThroughBody
  /**
   * What follows the repository in the path, such as `/git-receive-pack`; empty: Git's protocol does not have it, only `uri`
   * says what is asked for.
   */
  readonly resource: string
  /** The `service` parameter of a request for `/info/refs`, whatever it says. */
  readonly service: string | undefined
  /** Headers by their meaning, unchecked; undefined: the request has no such header. */
  readonly contentType: string | undefined
  readonly contentLength: string | undefined
  readonly contentEncoding: string | undefined
  /** The protocol version as `Git-Protocol` names it; undefined: version 0. */
  readonly gitProtocol: string | undefined
  /** The client's name; undefined: it is anonymous. */
  readonly remoteUser: string | undefined
  readonly remoteAddress: string | undefined
}

/** The body of a request, whose beginning may have been read. */
export interface PassThroughBody {
  /** What has been read of it; may be empty. */
  readonly beginning: Buffer
  /** Is that all? */
  readonly ended: boolean
  /**
   * What follows. It may be left unread: the rest is dropped after the answer. It must not be destroyed, since the client's
   * connection would end with it: hand it to `pipe`, not to what destroys its source.
   */
  readonly rest: Readable
}

/** How a request that passes through is queued and cancelled. */
export interface PassThroughAdmission {
  /** Was a request of this client admitted before? Then this one is queued where others are shed. */
  readonly admitted: boolean
  /** Takes the request out of the queue when it aborts. */
  readonly queueing: AbortSignal
  /** Ends the request's processing when it aborts. */
  readonly signal: AbortSignal
}

/** An origin's answer to a request that passes through: its head has come, its body is being read. */
export interface OriginResponse {
  readonly status: number
  readonly statusText: string | undefined
  /** Alternating names and values, without those that concern one connection only (RFC 9110, section 7.6.1). */
  readonly headers: string[]
  /** Must be read to its end, unless `end` is called. */
  readonly body: Readable
  /** Resolves after the body's end: is it whole? If not, the client must see that it is broken (R4). */
  whole(): Promise<boolean>
  /** Gives up the rest of the body. */
  end(): void
}
