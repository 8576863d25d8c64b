import type { RequestKind } from '../service/request-record.js'

/** Routes by OpenTelemetry's conventions: paths in which what differs from request to request has a name. */
const routes: Readonly<Partial<Record<RequestKind, string>>> = {
  advertisement: '/{repository}/info/refs',
  'receive-pack-advertisement': '/{repository}/info/refs',
  'ls-refs': '/{repository}/git-upload-pack',
  'upload-pack': '/{repository}/git-upload-pack',
  'receive-pack': '/{repository}/git-receive-pack',
  'upload-archive': '/{repository}/git-upload-archive',
  dumb: '/{repository}/{file}',
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE'])

/** Returns the route of a request; undefined: it has none of Git's. */
export const routeOf = (kind: RequestKind): string | undefined => routes[kind]

/** Returns the name of a request's span, of few values: methods that HTTP does not know are HTTP. */
export function spanNameOf(method: string, route: string | undefined): string {
  const known = methods.has(method) ? method : 'HTTP'
  return route === undefined ? known : `${known} ${route}`
}

/** Returns why a request counts as failed: only the server's faults do. @param isBroken was the answer broken off? */
export function errorTypeOf(status: number | undefined, isBroken: boolean): string | undefined {
  if (status !== undefined && status >= 500) return String(status)
  return isBroken ? 'broken_off' : undefined
}
