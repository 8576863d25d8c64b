import type { Readable } from 'node:stream'

/** A request to an upstream. */
export interface UpstreamRequest {
  readonly method: string
  /**
   * Path and query below the configured URL, percent-encoded, beginning with `/`; or, after a redirect, an absolute URL
   * below one that this client itself returned.
   */
  readonly path: string
  /** Names in any case. Hop-by-hop headers, Host, Expect and User-Agent are not sent. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body?: Buffer | Readable
  /** fill: ref listings and verdicts; pack: fetches; pass: everything else. */
  readonly class: 'fill' | 'pack' | 'pass'
  /** The repository: queues are fair among groups. */
  readonly group: string
  /** Was a request of this client admitted before? Then this one is queued where others are shed. */
  readonly admitted: boolean
  /** Ends the request at any time; its connection is free at once. */
  readonly signal: AbortSignal
  /** info/refs only. */
  readonly followsRedirects?: boolean
  /** Returns whether a redirect that would be followed may be; left out: yes. Otherwise the request fails with RedirectElsewhere. */
  readonly mayFollow?: ((to: URL, from: URL) => boolean) | undefined
}

/** A response of an upstream. */
export interface UpstreamResponse {
  readonly status: number
  readonly statusText: string | undefined
  /** Alternating names and values, as they came, without hop-by-hop ones. */
  readonly headers: string[]
  /** Returns the values of one header; its name in lower case. */
  values(name: string): readonly string[]
  /**
   * The body as it came, with its Content-Encoding. Ends only if it is whole; otherwise it fails with UpstreamUnavailable,
   * or with the reason of the request's signal. If it is not read to its end, it must be destroyed.
   */
  readonly body: Readable
  /** Where the answer came from, if redirects led elsewhere: the URL of the request, absolute. */
  readonly redirectedTo: string | undefined
}
