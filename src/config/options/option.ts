import type * as z from 'zod'
import { timerMax } from '../values/values.js'

/** Headings of the help and of docs/settings.md, in their order. */
export const optionGroups = [
  'Repositories',
  'Upstream',
  'Listeners',
  'TLS',
  'Authentication and authorization',
  'Freshness',
  'Leases and webhooks',
  'Cache',
  'Packs',
  'Responses',
  'Git processes',
  'Admission and queues',
  'Clients and connections',
  'Fleet',
  'Logging',
] as const

/**
 * One setting. The command line, the environment, the configuration file and docs/settings.md are all derived from the
 * table of these, so that a setting has one name, one default and one explanation.
 */
export interface Option {
  /** Key in `Settings`. */
  readonly key: string
  /** Flag without dashes, and the key in a TOML file; `REFSTREAM_` and upper case make the environment variable. */
  readonly name: string
  /** Placeholder of the value in the help; absent for a switch. */
  readonly value?: string
  readonly group: (typeof optionGroups)[number]
  readonly help: string
  /** What a valid value looks like, for error messages. */
  readonly allowed: string
  /** Accepts text (flags, environment) and TOML's own types. */
  readonly schema: z.ZodType
  /** The default as the help and docs/settings.md show it; some defaults are only known at start. */
  readonly defaultText?: string
}

export const sizeAllowed = 'a number of bytes, or one with a unit: 512KiB, 64MiB, 2GiB'
export const secondsAllowed = 'a number of seconds, such as 30 or 0.5'
export const positiveAllowed = 'a number of seconds greater than 0, such as 30 or 0.5'
export const timerAllowed = `${positiveAllowed}, and at most ${timerMax} (23 days)`
