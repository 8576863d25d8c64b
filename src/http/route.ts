import { LRUCache } from 'lru-cache'
import type { AccessRequest } from '../access/access-request.js'
import { decodeRepositoryPath, repositoryPathMax } from '../git/state/repository-path.js'
import type { RequestKind } from '../service/request-record.js'
import { HttpError } from './responses.js'

/** A parsed request target: the repository, and the resource in it. */
export interface Route {
  /** Relative to the root, decoded. */
  readonly repository: string
  /** The rest of the path, after the repository: for example `/info/refs`. Empty: none that Git serves. */
  readonly resource: string
  /** GET also stands for HEAD. */
  readonly method: string
  /** The `service` parameter of the query, if there is one. */
  readonly requestedService: string | undefined
  /** The service that access is checked for. */
  readonly service: AccessRequest['service']
  /** By the target alone: an `upload-pack` may turn out to be an `ls-refs`. */
  readonly kind: RequestKind
  /** May the request change refs? */
  readonly mutates: boolean
}

export type RouteError = 'not-a-target' | 'too-long'

export interface RoutesServed {
  /** Is another server behind, which may serve more than Git's protocol has? */
  readonly anyTarget: boolean
}

/**
 * Returns the route of a request.
 * @throws HttpError if this target is not served, or not by this method
 */
export function findRoute(target: string, method: string | undefined, { anyTarget }: RoutesServed): Route {
  const { parsed: route, isAmbiguous } = known.memo(target)
  if (route === 'not-a-target') throw new HttpError(400, 'the request target is not a path')
  if (route === 'too-long') throw new HttpError(414, `the path is longer than ${repositoryPathMax} bytes`)
  if (anyTarget && isAmbiguous) throw new HttpError(400, 'the request target is ambiguous')
  if (route && (method === route.method || (method === 'HEAD' && route.method === 'GET'))) return route
  if (anyTarget) return passRoute(target, method)
  if (!route) throw new HttpError(404)
  throw notAllowed(route.method === 'GET' ? 'GET, HEAD' : 'POST')
}

const notAllowed = (methods: string): HttpError =>
  new HttpError(405, `allowed methods: ${methods}`, ['Allow', methods])

/**
 * Returns the route of a request target; undefined: Git serves no such target. Results are cached, since clients of a
 * cache repeat the same targets.
 */
export const parseTarget = (target: string): Route | RouteError | undefined => known.memo(target).parsed

interface KnownTarget {
  readonly parsed: Route | RouteError | undefined
  readonly isAmbiguous: boolean
}

/** The targets of the last requests: a megabyte of them at most. */
const known = new LRUCache<string, KnownTarget>({
  maxSize: 1_000_000,
  sizeCalculation: (_, target) => target.length + 100,
  memoMethod: (target) => ({ parsed: parse(target), isAmbiguous: isAmbiguous(target) }),
})

/** The resources that http-backend.c serves, and their methods. */
const resources: readonly (readonly [RegExp, 'GET' | 'POST'])[] = [
  [/\/HEAD$/, 'GET'],
  [/\/info\/refs$/, 'GET'],
  [/\/objects\/info\/(?:http-)?alternates$/, 'GET'],
  [/\/objects\/info\/packs$/, 'GET'],
  [/\/objects\/[0-9a-f]{2}\/(?:[0-9a-f]{38}|[0-9a-f]{62})$/, 'GET'],
  [/\/objects\/pack\/pack-(?:[0-9a-f]{40}|[0-9a-f]{64})\.(?:pack|idx)$/, 'GET'],
  [/\/git-(?:upload-pack|receive-pack|upload-archive)$/, 'POST'],
]

/** Longest encoded path that can decode to at most `repositoryPathMax` bytes: percent-encoding takes three per byte. */
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
    const kind = kindOf(resource, service)
    const mutates = kind === 'receive-pack'
    return { repository, resource, method, requestedService, service, kind, mutates }
  }
  return undefined
}

/** Methods of Git's protocol, and those that are passed on to another server. */
export const gitMethods = 'GET, HEAD, POST'
export const passedMethods = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'

/**
 * Returns the route of a request that Git's protocol does not have: for LFS, a web page, an API. What is not known to read
 * only is taken for a write, and needs the permission to push.
 * @throws HttpError
 */
function passRoute(target: string, method = ''): Route {
  if (method === '' || method === 'TRACE' || method === 'CONNECT') throw notAllowed(passedMethods)
  const [path] = splitOnce(originForm(target), '?')
  const decoded = decodeRepositoryPath(path)
  if (decoded === undefined) throw new HttpError(404)
  if (decoded.length > repositoryPathMax)
    throw new HttpError(414, `the path is longer than ${repositoryPathMax} bytes`)
  const [lfsRepository] = /^.*?(?=\/info\/lfs\/)/s.exec(decoded) ?? []
  const [gitRepository] = /^(?:.*?\.git)(?=\/|$)/s.exec(decoded) ?? []
  const reads = method === 'GET' || method === 'HEAD'
  return {
    repository: lfsRepository ?? gitRepository ?? decoded,
    resource: '',
    method: reads ? 'GET' : method,
    requestedService: undefined,
    service: reads ? 'dumb' : 'git-receive-pack',
    kind: 'pass',
    // LFS has no refs.
    mutates: !reads && method !== 'OPTIONS' && lfsRepository === undefined,
  }
}

/**
 * Returns whether another server could take a target for another repository or service than the one that access is checked
 * for here: because of a fragment, a backslash, what only some servers take for a dot segment, a second `service`, or a
 * resource of Git's protocol that is one only after percent-decoding or without doubled slashes.
 */
function isAmbiguous(target: string): boolean {
  const [path, query] = splitOnce(originForm(target), '?')
  if (/[\\#]/.test(target)) return true
  // Percent-encoded: a dot, a slash, a backslash, a semicolon.
  const segments = path
    .replace(/%2e/gi, '.')
    .replace(/%3b/gi, ';')
    .split(/\/|%2f|%5c/i)
  if (segments.some((segment) => /^\.{1,2}(?:;|$)/.test(segment))) return true
  if (!isGitPath(path) && isGitPath(`/${decodeRepositoryPath(path) ?? ''}`)) return true
  return new Set(new URLSearchParams(query).getAll('service')).size > 1
}

const isGitPath = (path: string): boolean => resources.some(([pattern]) => pattern.test(path))

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
