import type { Client } from './proxies.js'

/** May this be done? As a door asks it, before anything else is looked at. */
export interface AccessRequest {
  readonly transport: 'http' | 'grpc'
  /** The service that Git is asked for; `dumb` for files. */
  readonly service: 'git-upload-pack' | 'git-receive-pack' | 'git-upload-archive' | 'dumb'
  /** Path below the root, decoded, as the client wrote it. */
  readonly repository: string
  /** Header fields or metadata of the request, names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly method: string
  /** Path and query of the request, as they came. */
  readonly uri: string
  /** The client's address, by whatever proxies it comes. */
  readonly remoteAddress: string | undefined
  /** How it came: the addresses of the client and of the proxies after it, and what it took the server for. */
  readonly via?: Pick<Client, 'route' | 'scheme' | 'host'> | undefined
  /** The client's name by its certificate, or by a proxy in front that is trusted to tell it. */
  readonly knownAs: string | undefined
}

/** Who was let in. */
export interface Grant {
  /** undefined: somebody without a name. */
  readonly user: string | undefined
  /** Of the repository that the rules were asked about; empty: there was none. Left out: there are no rules. */
  readonly identity?: string
}

export const isPush = ({ service }: Pick<AccessRequest, 'service'>): boolean => service === 'git-receive-pack'
