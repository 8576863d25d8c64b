import * as z from 'zod'
import type { FleetEntry, FleetFailure } from '../../engine.js'
import type { KeyValue } from './client/messages.js'

/**
 * The values of keys, as JSON. A value of another version, or that is none of these, counts as absent: a fleet may have nodes
 * of two versions for a while. Fields that are not known are ignored.
 */
const version = { v: z.literal(1) }

const fillLease = z.object({
  ...version,
  /** Random; what makes the fencing token of a grant unlike all others. */
  nonce: z.string(),
  node: z.string(),
  ttlMs: z.number(),
  /** The revision of the grant, if the lease has been renewed since. */
  granted: z.string().optional(),
})

const entry = z.object({
  ...version,
  token: z.string(),
  node: z.string(),
  state: z.string(),
  entry: z.object({
    length: z.number(),
    sha256: z.string().optional(),
    path: z.string().optional(),
  }),
})

const failure = z.object({
  ...version,
  token: z.string(),
  ttlMs: z.number(),
  failure: z.object({
    attempt: z.number(),
    code: z.string(),
    message: z.string(),
    state: z.string().optional(),
  }),
})

const mutatorLease = z.object({
  ...version,
  repository: z.string(),
  name: z.string(),
  reason: z.string().optional(),
  openedAtMs: z.number(),
  ttlMs: z.number(),
})

const member = z.object({ ...version, ttlMs: z.number() })

export type FillLeaseRecord = Omit<z.infer<typeof fillLease>, 'v'>
export type EntryRecord = { token: string; node: string; state: string; entry: FleetEntry }
export type FailureRecord = { token: string; ttlMs: number; failure: FleetFailure }
export type MutatorLeaseRecord = Omit<z.infer<typeof mutatorLease>, 'v'>
export type MemberRecord = Omit<z.infer<typeof member>, 'v'>

/** Returns the value of a key; undefined: there is no such key, or its value is not understood. */
type Decode<Record> = (kv: KeyValue | undefined) => Record | undefined

const decode =
  (schema: z.ZodType): Decode<unknown> =>
  (kv) => {
    if (!kv) return undefined
    try {
      return schema.safeParse(JSON.parse(kv.value)).data
    } catch (error) {
      if (error instanceof SyntaxError) return undefined
      throw error
    }
  }

export const fillLeaseOf = decode(fillLease) as Decode<FillLeaseRecord>
export const entryOf = decode(entry) as Decode<EntryRecord>
export const failureOf = decode(failure) as Decode<FailureRecord>
export const mutatorLeaseOf = decode(mutatorLease) as Decode<MutatorLeaseRecord>
export const memberOf = decode(member) as Decode<MemberRecord>

export const encode = (
  record: FillLeaseRecord | EntryRecord | FailureRecord | MutatorLeaseRecord | MemberRecord,
): string => JSON.stringify({ v: 1, ...record })
