import { availableParallelism } from 'node:os'
import * as z from 'zod'
import { explain, unixAddress } from './values.js'

/** Where the engine of a fleet is. */
export interface EngineAddress {
  readonly kind: 'redis' | 'redis-sentinel' | 'redis-cluster' | 'etcd'
  readonly tls: boolean
  /** One; or several for Sentinel, Cluster and etcd. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly username: string | undefined
  readonly password: string | undefined
  /** The name of Sentinel's master, or the number of a Redis database. */
  readonly path: string | undefined
}

/** A node of the fleet, and where it listens for the others. */
export interface FleetMember {
  readonly name: string
  /** Scheme, host and port; or `unix:/path`. */
  readonly url: string
}

const workersMax = 64

export const workerCount = z
  .union([
    z.number(),
    z.literal('auto').transform(() => availableParallelism()),
    z
      .string()
      .regex(/^\d{1,3}$/)
      .transform(Number),
  ])
  .pipe(z.int().min(1).max(workersMax))

/** A name that an engine, a URL and a file name can hold. */
export const nodeName = z.string().regex(/^[\w-]{1,64}$/)

const schemes: Readonly<Record<string, Pick<EngineAddress, 'kind' | 'tls'> & { readonly port: number }>> = {
  redis: { kind: 'redis', tls: false, port: 6379 },
  rediss: { kind: 'redis', tls: true, port: 6379 },
  'redis+sentinel': { kind: 'redis-sentinel', tls: false, port: 26_379 },
  'rediss+sentinel': { kind: 'redis-sentinel', tls: true, port: 26_379 },
  'redis+cluster': { kind: 'redis-cluster', tls: false, port: 6379 },
  'rediss+cluster': { kind: 'redis-cluster', tls: true, port: 6379 },
  etcd: { kind: 'etcd', tls: false, port: 2379 },
  etcds: { kind: 'etcd', tls: true, port: 2379 },
}

/** The URL of an engine, whose host may be a list. */
export const engineUrl = z.string().transform((value, context): EngineAddress => {
  const [, scheme = '', user, hosts = '', path] =
    /^([a-z+]+):\/\/(?:([^@/]*)@)?([^@/]+)(?:\/([\w.-]*))?$/.exec(value) ?? []
  const known = schemes[scheme]
  const parsed = hosts.split(',').map((host) => hostOf(host, known?.port ?? 0))
  if (!known || parsed.includes(undefined)) {
    context.addIssue({ code: 'custom', message: 'not the URL of an engine' })
    return z.NEVER
  }
  const { kind, tls } = known
  const fault = faultOf(kind, parsed.length, path)
  if (fault !== undefined) return explain(context, fault)
  const credentials = credentialsOf(user)
  if (!credentials)
    return explain(context, 'user name and password must be percent-encoded where they hold : @ / or %')
  return {
    ...{ kind, tls },
    hosts: parsed.filter((host) => host !== undefined),
    ...credentials,
    path: path === '' ? undefined : path,
  }
})

function faultOf(kind: EngineAddress['kind'], hosts: number, path: string | undefined): string | undefined {
  if (kind === 'redis' && hosts > 1)
    return 'redis: has one host; several are redis+sentinel: or redis+cluster:'
  if (kind === 'redis' && path && !/^\d{1,5}$/.test(path)) return 'the path of redis: is a database’s number'
  if (kind === 'redis-sentinel' && !path)
    return 'redis+sentinel: needs the master’s name, as in redis+sentinel://10.0.0.1:26379/mymaster'
  if ((kind === 'etcd' || kind === 'redis-cluster') && path) return 'it has no path'
  return undefined
}

function hostOf(
  written: string,
  defaultPort: number,
): { readonly host: string; readonly port: number } | undefined {
  const [, v6, name, port] = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::([1-9]\d{0,4}))?$/.exec(written) ?? []
  const host = v6 ?? name
  const number = port === undefined ? defaultPort : Number(port)
  return host === undefined || number > 65_535 ? undefined : { host, port: number }
}

function credentialsOf(user: string | undefined): Pick<EngineAddress, 'username' | 'password'> | undefined {
  if (user === undefined) return { username: undefined, password: undefined }
  const [name = '', ...rest] = user.split(':')
  try {
    const password = rest.length > 0 ? decodeURIComponent(rest.join(':')) : undefined
    return { username: name === '' ? undefined : decodeURIComponent(name), password }
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

/** A row of `--fleet-members`. */
export const fleetMember = z.string().transform((value, context): FleetMember => {
  const [, name, given] = /^([\w-]{1,64})=((?:https?:\/|unix:)\/.+)$/.exec(value) ?? []
  if (name !== undefined && given !== undefined && unixAddress.safeParse(given).success)
    return { name, url: given }
  const url = given !== undefined && URL.canParse(given) ? new URL(given) : undefined
  const isPlain = url && url.pathname === '/' && !/[?#@\s\\]/.test(given ?? '')
  if (name === undefined || !url || !isPlain) {
    context.addIssue({ code: 'custom', message: 'not a member' })
    return z.NEVER
  }
  return { name, url: url.origin }
})
