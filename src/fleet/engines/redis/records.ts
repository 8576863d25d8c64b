import * as z from 'zod'
import {
  repositoryOfLease,
  type ClaimAnswer,
  type Epoch,
  type FleetEntry,
  type FleetFailure,
  type FleetLease,
  type Hint,
  type NewFleetLease,
  unknownEpoch,
  UnknownRecord,
} from '../../engine.js'

const name = z.string().regex(/^[\w-]{1,64}$/)
const token = z.string().regex(/^[\w.-]{1,128}$/)
/** A negative number: the record has no time limit, which none has that was written by this version. */
const leftMs = z.number().transform((ms) => (ms < 0 ? Infinity : ms))
const count = z.int().min(0)

/** Fields that are not known come from other versions, and are ignored. */
const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .max(65_536)
    .transform((written, context): unknown => {
      try {
        return JSON.parse(written)
      } catch {
        context.addIssue({ code: 'custom', message: 'not JSON' })
        return z.NEVER
      }
    })
    .pipe(schema)

const entry = json(
  z.object({
    length: count,
    sha256: z
      .string()
      .regex(/^[\da-f]{64}$/)
      .optional(),
    path: z.string().max(4096).optional(),
  }),
)
const failure = json(
  z.object({ state: z.string().optional(), attempt: count, code: z.string(), message: z.string() }),
)
const leaseBody = json(z.object({ name: z.string(), reason: z.string().optional(), openedAtMs: z.number() }))

const claimAnswer = z.union([
  z.tuple([z.literal('granted'), token]),
  z.tuple([z.literal('held'), name, token, leftMs]),
  z.tuple([z.literal('published'), name, token, entry]),
  z.tuple([z.literal('failed'), failure, leftMs]),
])
const epoch = z.tuple([z.string().max(128), count, count, count])
const lease = z.tuple([z.number().min(0), z.number(), leaseBody])
const listedLease = z.tuple([z.string(), z.number().min(0), z.number(), leaseBody])

function read<T extends z.ZodType>(schema: T, answer: unknown): z.output<T> {
  const read = schema.safeParse(answer)
  if (read.success) return read.data
  throw new UnknownRecord('Redis has a record that this version of refstream does not understand')
}

export const encodeState = (state: string | undefined): string => (state === undefined ? '' : `=${state}`)

export const encodeEntry = ({ length, sha256, path }: FleetEntry): string =>
  JSON.stringify({ length, sha256, path })

export const encodeFailure = ({ state, attempt, code, message }: FleetFailure): string =>
  JSON.stringify({ state, attempt, code, message })

export const encodeLease = ({ name, reason, openedAtMs }: NewFleetLease): string =>
  JSON.stringify({ name, reason, openedAtMs })

/** @throws UnknownRecord */
export function decodeClaim(answer: unknown): ClaimAnswer {
  const read_ = read(claimAnswer, answer)
  switch (read_[0]) {
    case 'granted':
      return { kind: 'granted', token: read_[1] }
    case 'held':
      return { kind: 'held', node: read_[1], token: read_[2], leftMs: read_[3] }
    case 'published': {
      const { length, sha256, path } = read_[3]
      const made = { length, ...(sha256 !== undefined && { sha256 }), ...(path !== undefined && { path }) }
      return { kind: 'published', node: read_[1], token: read_[2], entry: made }
    }
    case 'failed': {
      const { state, attempt, code, message } = read_[1]
      return { kind: 'failed', failure: { attempt, code, message, state }, leftMs: read_[2] }
    }
  }
}

export function decodeEpoch(answer: unknown): Epoch {
  const { data } = epoch.safeParse(answer)
  if (!data) return unknownEpoch
  const [incarnation, open, openings, changes] = data
  return { incarnation, open, openings, changes }
}

/** Reads a lease; undefined: there is none. @throws UnknownRecord */
export function decodeLease(id: string, answer: unknown): FleetLease | undefined {
  const repository = repositoryOfLease(id)
  if (answer === null || repository === undefined) return undefined
  const [leftMs, ttlMs, { name, reason, openedAtMs }] = read(lease, answer)
  return { id, repository, name, reason, openedAtMs, ttlMs, leftMs }
}

/** Reads leases, without those that are not understood. */
export function decodeLeases(answer: unknown): FleetLease[] {
  if (!Array.isArray(answer)) return []
  return answer.flatMap((each: unknown) => {
    const { data } = listedLease.safeParse(each)
    return (data && decodeLease(data[0], (each as unknown[]).slice(1))) ?? []
  })
}

export const decodeNames = (answer: unknown): string[] =>
  Array.isArray(answer) ? answer.filter((each) => typeof each === 'string') : []

/** Reads a hint; undefined: one of another version. */
export function decodeHint(message: string): Hint | undefined {
  const [, kind, repository, key] = /^(key|epoch) ([\w-]{1,64}) ([\w-]{0,64})$/.exec(message) ?? []
  if (repository === undefined) return undefined
  if (kind === 'epoch') return { kind, repository }
  return key ? { kind: 'key', repository, key } : undefined
}
