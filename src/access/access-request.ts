import type { Client } from './proxies.js'

/** A request to authorize, as HTTP and gRPC make it before a repository is opened. */
export interface AccessRequest {
  readonly transport: 'http' | 'grpc'
  /** The Git service that is requested; `dumb` for files of the dumb HTTP protocol. */
  readonly service: 'git-upload-pack' | 'git-receive-pack' | 'git-upload-archive' | 'dumb'
  /** Path below the root, decoded, as the client wrote it. */
  readonly repository: string
  /** Header fields or metadata of the request, names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly method: string
  /** Path and query of the request, undecoded. */
  readonly uri: string
  /** The client's address, taken from trusted proxies if there are any. */
  readonly remoteAddress: string | undefined
  /** Addresses of the client and of the proxies after it, and the URL parts that the client used. */
  readonly via?: Pick<Client, 'route' | 'scheme' | 'host'> | undefined
  /** The client's name by its certificate, or by the header of a trusted proxy. */
  readonly knownAs: string | undefined
}

/** Permission for a request. */
export interface Grant {
  /** undefined: the client is anonymous. */
  readonly user: string | undefined
  /** Identity of the repository that the rules allowed; empty: there is none. Left out: there are no rules. */
  readonly identity?: string
}

export const isPush = ({ service }: Pick<AccessRequest, 'service'>): boolean => service === 'git-receive-pack'
