import { LRUCache } from 'lru-cache'
import type { AccessRequest } from '../access/access-request.js'
import { decodeRepositoryPath, repositoryPathMax } from '../git/state/repository-path.js'
import type { RequestKind } from '../service/request-record.js'
import { HttpError } from './responses.js'

/** What a request target that Git serves means: which repository, and what of it. */
export interface Route {
  /** Relative to the root, decoded. */
  readonly repository: string
  /** From the repository on, as in `/info/refs`. */
  readonly resource: string
  /** HEAD is allowed wherever GET is. */
  readonly method: 'GET' | 'POST'
  /** The `service` parameter of the query, if there is one. */
  readonly requestedService: string | undefined
  /** The service that access is checked for. */
  readonly service: AccessRequest['service']
  /** By the target alone: an `upload-pack` may turn out to be an `ls-refs`. */
  readonly kind: RequestKind
}

export type RouteError = 'not-a-target' | 'too-long'

/** Returns what a request asks for. @throws HttpError if Git does not serve it, or not by this method */
export function findRoute(target: string, method: string | undefined): Route {
  const route = parseTarget(target)
  if (route === 'not-a-target') throw new HttpError(400, 'the request target is not a path')
  if (route === 'too-long') throw new HttpError(414, 'the path is too long for any repository')
  if (!route) throw new HttpError(404)
  if (method === route.method || (method === 'HEAD' && route.method === 'GET')) return route
  const allowed = route.method === 'GET' ? 'GET, HEAD' : 'POST'
  throw new HttpError(405, `${route.resource} takes ${allowed}`, ['Allow', allowed])
}

/**
 * Returns what a request target means; undefined: nothing that Git serves. Results are kept, for clients of a cache ask
 * for the same again and again.
 */
export const parseTarget = (target: string): Route | RouteError | undefined => known.memo(target).parsed

/** The targets of the last requests: a megabyte of them at most. */
const known = new LRUCache<string, { readonly parsed: Route | RouteError | undefined }>({
  maxSize: 1_000_000,
  sizeCalculation: (_, target) => target.length + 100,
  memoMethod: (target) => ({ parsed: parse(target) }),
})

/** What http-backend.c serves, and by which method. */
const resources: readonly (readonly [RegExp, Route['method']])[] = [
  [/\/HEAD$/, 'GET'],
  [/\/info\/refs$/, 'GET'],
  [/\/objects\/info\/(?:http-)?alternates$/, 'GET'],
  [/\/objects\/info\/packs$/, 'GET'],
  [/\/objects\/[0-9a-f]{2}\/(?:[0-9a-f]{38}|[0-9a-f]{62})$/, 'GET'],
  [/\/objects\/pack\/pack-(?:[0-9a-f]{40}|[0-9a-f]{64})\.(?:pack|idx)$/, 'GET'],
  [/\/git-(?:upload-pack|receive-pack|upload-archive)$/, 'POST'],
]

/** Characters of a path that no filesystem takes, however it is encoded: percent-encoded, a byte takes three. */
const encodedPathMax = 3 * repositoryPathMax

function parse(target: string): Route | RouteError | undefined {
  const [path, query] = splitOnce(originForm(target), '?')
  if (!path.startsWith('/')) return 'not-a-target'
  if (path.length > encodedPathMax) return 'too-long'
  for (const [pattern, method] of resources) {
    const resource = pattern.exec(path)?.[0]
    if (resource === undefined) continue
    const repository = decodeRepositoryPath(path.slice(0, -resource.length))
    if (repository === undefined) return undefined
    if (repository.length > repositoryPathMax) return 'too-long'
    // The last one counts (http-backend.c, get_parameters).
    const requestedService = new URLSearchParams(query).getAll('service').at(-1)
    const service = serviceOf(resource, requestedService)
    return { repository, resource, method, requestedService, service, kind: kindOf(resource, service) }
  }
  return undefined
}

/** Returns a target without scheme and host: the absolute form is the same request (RFC 9112, section 3.2.2). */
export const originForm = (target: string): string => target.replace(/^https?:\/\/[^/?#]*/i, '')

function serviceOf(resource: string, requestedService: string | undefined): Route['service'] {
  const name = resource === '/info/refs' ? requestedService : resource.slice(1)
  switch (name) {
    case 'git-upload-pack':
    case 'git-receive-pack':
    case 'git-upload-archive':
      return name
    default:
      return 'dumb'
  }
}

function kindOf(resource: string, service: Route['service']): RequestKind {
  switch (service) {
    case 'git-upload-pack':
      return resource === '/info/refs' ? 'advertisement' : 'upload-pack'
    case 'git-receive-pack':
      return resource === '/info/refs' ? 'receive-pack-advertisement' : 'receive-pack'
    case 'git-upload-archive':
      return resource === '/info/refs' ? 'dumb' : 'upload-archive'
    case 'dumb':
      return 'dumb'
  }
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}
