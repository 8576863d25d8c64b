import { LRUCache } from 'lru-cache'
import { decodeRepositoryPath } from '../git/state/repository-path.js'

/** A request target that Git serves: which repository, and what of it. */
export interface Route {
  /** Relative to the root, decoded. */
  readonly repository: string
  /** From the repository on, as in `/info/refs`. */
  readonly resource: string
  /** The `service` of the query, if there is one. */
  readonly service: string | undefined
  readonly method: 'GET' | 'POST'
}

/** What http-backend.c serves, and by which method; HEAD goes wherever GET does. */
const resources: readonly (readonly [RegExp, Route['method']])[] = [
  [/\/HEAD$/, 'GET'],
  [/\/info\/refs$/, 'GET'],
  [/\/objects\/info\/(?:http-)?alternates$/, 'GET'],
  [/\/objects\/info\/packs$/, 'GET'],
  [/\/objects\/[0-9a-f]{2}\/(?:[0-9a-f]{38}|[0-9a-f]{62})$/, 'GET'],
  [/\/objects\/pack\/pack-(?:[0-9a-f]{40}|[0-9a-f]{64})\.(?:pack|idx)$/, 'GET'],
  [/\/git-(?:upload-pack|receive-pack|upload-archive)$/, 'POST'],
]

/** Path lengths that no filesystem takes, in bytes; percent-encoded, a byte may take three. */
const pathMax = 4096
const encodedMax = 3 * pathMax

export type RouteError = 'not-a-target' | 'too-long'

/** Targets of the last requests, a megabyte of them at most: a cache's clients ask for the same again and again. */
const known = new LRUCache<string, { readonly parsed: Route | RouteError | undefined }>({
  maxSize: 1_000_000,
  sizeCalculation: (_, target) => target.length + 100,
  memoMethod: (target) => ({ parsed: parse(target) }),
})

/** undefined: nothing that Git serves is there. */
export const parseTarget = (target: string): Route | RouteError | undefined => known.memo(target).parsed

function parse(target: string): Route | RouteError | undefined {
  // The absolute form, as sent to proxies, is the same request (RFC 9112, section 3.2.2).
  const origin = target.replace(/^https?:\/\/[^/?#]*/i, '')
  const [path, query] = splitOnce(origin, '?')
  if (!path.startsWith('/')) return 'not-a-target'
  if (path.length > encodedMax) return 'too-long'
  for (const [pattern, method] of resources) {
    const resource = pattern.exec(path)?.[0]
    if (resource === undefined) continue
    const repository = decodeRepositoryPath(path.slice(0, -resource.length))
    if (repository === undefined) return undefined
    if (repository.length > pathMax) return 'too-long'
    // The last one counts (http-backend.c, get_parameters).
    const service = new URLSearchParams(query).getAll('service').at(-1)
    return { repository, resource, service, method }
  }
  return undefined
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}
