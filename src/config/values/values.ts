import * as z from 'zod'
import { socketPathMax, type Address, type UnixAddress } from './addresses.js'
import { BadGlob } from './glob.js'
import { parseNetwork, type Network } from './networks.js'
import { repositoryMatcher } from './repository-glob.js'

export const text = z.string().min(1)

export const address = z.string().transform((value, context): Address => {
  const match = /^(tls:)?(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(value)
  const port = Number(match?.[4])
  if (!match || port > 65535) {
    context.addIssue({ code: 'custom', message: 'not an address' })
    return z.NEVER
  }
  return { host: (match[2] ?? match[3]) as string, port, ...(match[1] ? { tls: true } : {}) }
})

export const unixAddress = z
  .string()
  .regex(/^unix:\/.+$/)
  .refine((value) => Buffer.byteLength(value) <= 'unix:'.length + socketPathMax)
  .transform((value): UnixAddress => ({ path: value.slice('unix:'.length) }))

/** Permissions of a file for owner, group and others, in octal. */
export const fileMode = z
  .string()
  .regex(/^0?[0-7]{3}$/)
  .transform((value) => Number.parseInt(value, 8))

/** A list: items separated by commas, or an array in TOML. */
export const list = <T extends z.ZodType<unknown, string>>(item: T) =>
  z
    .union([
      z.string().transform((value) => value.split(',').map((part) => part.trim())),
      z.array(z.string()),
    ])
    .pipe(z.array(item).min(1))

/**
 * Rejects a value for a reason that the allowed values do not tell; the error shows it (`resolveSettings`).
 * @returns what a transformation returns then
 */
export function explain(context: z.RefinementCtx, reason: string): never {
  context.addIssue({ code: 'custom', message: reason, params: { isReason: true } })
  return z.NEVER
}

/** Returns why a glob is invalid; undefined if it is valid. */
export function faultOf(glob: string): string | undefined {
  try {
    repositoryMatcher(glob)
    return undefined
  } catch (error) {
    if (!(error instanceof BadGlob)) throw error
    return `${JSON.stringify(glob)} is not a glob: ${error.message}`
  }
}

/** A rule of `--freshness`: the mode of the repositories whose path matches. */
export const freshnessRule = z.string().transform((value, context) => {
  const [, glob = '**', mode] = /^(?:(.+)=)?(observe|lease|auto)$/.exec(value) ?? []
  const fault = mode === undefined ? 'not a rule' : faultOf(glob)
  if (fault !== undefined) {
    context.addIssue({ code: 'custom', message: fault })
    return z.NEVER
  }
  return { glob, mode: mode as 'observe' | 'lease' | 'auto' }
})

/** A Gitaly storage name and its directory of repositories. */
export const storage = z.string().transform((value, context) => {
  const [, name, directory] = /^([^=]+)=(.+)$/.exec(value) ?? []
  if (name === undefined || directory === undefined) {
    context.addIssue({ code: 'custom', message: 'not a storage' })
    return z.NEVER
  }
  return { name, directory }
})

/** A rule of `--access`: the names that may read, or push to, the repositories whose path matches. */
export const accessRule = z.string().transform((value, context) => {
  const [, glob, action, names] = /^(.+)=(read|push):([^:]+)$/.exec(value) ?? []
  const list = names?.split('+').map((name) => name.trim()) ?? []
  const isRule = action !== undefined && list.length > 0 && !list.includes('')
  const fault = glob === undefined || !isRule ? 'not a rule' : faultOf(glob)
  if (glob === undefined || fault !== undefined) {
    context.addIssue({ code: 'custom', message: fault ?? 'not a rule' })
    return z.NEVER
  }
  return { glob, action: action as 'read' | 'push', names: list }
})

/** A trusted proxy: a network, an address (a network of all its bits), or `unix` for every peer on a Unix socket. */
export const trustedProxy = z.string().transform((value, context): 'unix' | Network => {
  if (value === 'unix') return value
  const network = parseNetwork(value)
  if (network) return network
  context.addIssue({ code: 'custom', message: 'not an address or a network' })
  return z.NEVER
})

/**
 * An origin as browsers send it in the header of that name (RFC 6454, section 6.2), or `*`. Not `null`, which every sandboxed
 * page has.
 */
export const corsOrigin = z
  .string()
  .regex(/^(?:\*|[a-z][a-z\d+.-]*:\/\/[^\s/?#@,*]+)$/)
  .transform((value, context) => {
    const { protocol, origin } = URL.canParse(value) ? new URL(value) : { protocol: '', origin: value }
    // Of other schemes, such as app: and chrome-extension:, Node knows no origin.
    if (!/^https?:$/.test(protocol) || origin === value) return value
    return explain(context, `browsers write the origin ${value} as ${origin}`)
  })

/** A URL without credentials: they would be logged, and would be sent instead of the client's. */
export const httpUrl = z
  .url({ protocol: /^https?$/ })
  .refine((value) => URL.canParse(value) && new URL(value).username + new URL(value).password === '')

/** The value of a switch: TOML's booleans, and their spellings in flags and environment variables. */
export const toggle = z.union([
  z.boolean(),
  z.enum(['true', 'false', '1', '0', 'yes', 'no']).transform((value) => ['true', '1', 'yes'].includes(value)),
])

const units: Record<string, number> = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 }

export const bytes = z.union([z.int().min(0), z.string()]).transform((value, context): number => {
  const match = /^(\d{1,15})(|KiB|MiB|GiB|TiB)$/.exec(String(value))
  const size = Number(match?.[1]) * (units[match?.[2] ?? ''] ?? NaN)
  if (!Number.isSafeInteger(size)) {
    context.addIssue({ code: 'custom', message: 'not a size' })
    return z.NEVER
  }
  return size
})

export const seconds = z
  .union([z.number(), z.string().regex(/^\d{1,9}(\.\d{1,3})?$/)])
  .transform(Number)
  .pipe(z.number().min(0).max(1e9))

/** Seconds; Node's timers hold 31 bits of milliseconds. */
export const timerMax = 2_000_000
export const positiveSeconds = seconds.pipe(z.number().positive())
export const timerSeconds = positiveSeconds.pipe(z.number().max(timerMax))

/** Something per second. */
export const rate = z
  .union([z.number(), z.string().regex(/^\d{1,9}(\.\d{1,3})?$/)])
  .transform(Number)
  .pipe(z.number().positive().max(1e9))

export const countOrZero = z
  .union([z.number(), z.string().regex(/^\d{1,9}$/)])
  .transform(Number)
  .pipe(z.int().min(0).max(1e9))
export const count = countOrZero.pipe(z.int().min(1))

/** An HTTP field name (RFC 9110, section 5.1), in lower case. */
export const headerName = z
  .string()
  .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/)
  .transform((name) => name.toLowerCase())

/** A host name, as in a URL. */
export const hostName = z.string().regex(/^[\w-]{1,63}(\.[\w-]{1,63})*\.?$/)

/** Headers that route or frame one message (RFC 9110, section 7.6.1; RFC 9112, section 6), and must not be forwarded. */
const framing = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]
/** The name of a header that may be forwarded to another server. */
export const forwardedHeader = headerName.refine((name) => !framing.includes(name))
