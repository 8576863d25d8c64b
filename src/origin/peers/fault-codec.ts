import * as z from 'zod'
import { PeerRefused, PeerSilent, PeerUnreachable } from '../../fleet/peers/peer.js'
import type { FaultCodec, PeerFault } from '../../fleet/peers/peer.js'
import { FilesystemUnanswered } from '../../git/filesystem/filesystem-unanswered.js'
import { PackRefused } from '../../git/process/pack-answer.js'
import { RepositoryExchanged } from '../../git/state/reopen-repository.js'
import { Overloaded } from '../../limits/overloaded.js'
import { FillError, type FillFault } from '../../streamcache/index.js'
import { BackingOff, RepositoryNotFound, ServiceDisabled } from '../faults/errors.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../faults/upstream-errors.js'

type Details = Readonly<Record<string, unknown>>

/** A kind of errors that means the same on the node that is told of it. */
export interface FaultKind {
  readonly code: string
  /** May be published to the fleet's engine: says nothing of paths, refs and credentials. */
  readonly message: string
  /** Returns what else must be told of an error; undefined: it is not of this kind. */
  readonly encode: (error: unknown) => Details | undefined
  /** @throws if the details are not those of this kind */
  decode(details: Details): Error
}

/** Makes a kind of a class of errors. @param detailsOf returns what `make` needs, as JSON */
export function faultKind<E extends Error, D extends Details>(
  [code, message]: readonly [string, string],
  type: abstract new (...parameters: never[]) => E,
  schema: z.ZodType<D>,
  detailsOf: (error: E) => D,
  make: (details: D) => E,
): FaultKind {
  return {
    ...{ code, message },
    encode: (error) => (error instanceof type ? detailsOf(error) : undefined),
    decode: (details) => make(schema.parse(details)),
  }
}

const nothing = z.object({})
const none = (): Record<string, never> => ({})
const retryAfter = z.object({ retryAfterMs: z.number().min(0) })

const kinds: readonly FaultKind[] = [
  faultKind(
    ['not-found', 'there is no such repository'],
    RepositoryNotFound,
    nothing,
    none,
    () => new RepositoryNotFound('there is no such repository on another node'),
  ),
  faultKind(
    ['service-disabled', 'the configuration of the repository does not offer this'],
    ServiceDisabled,
    z.object({ text: z.string() }),
    ({ message: text }) => ({ text }),
    ({ text }) => new ServiceDisabled(text),
  ),
  faultKind(
    ['backing-off', 'earlier tries have failed'],
    BackingOff,
    retryAfter,
    ({ retryAfterMs }) => ({ retryAfterMs }),
    ({ retryAfterMs }) => new BackingOff(retryAfterMs, undefined),
  ),
  faultKind(
    ['overloaded', 'too many requests'],
    Overloaded,
    z.object({
      reason: z.enum(['queue-full', 'wait', 'full', 'share']),
      retryAfterSeconds: z.number().min(0),
    }),
    ({ reason, retryAfterSeconds }) => ({ reason, retryAfterSeconds }),
    ({ reason, retryAfterSeconds }) => new Overloaded(reason, retryAfterSeconds),
  ),
  faultKind(
    ['exchanged', 'the repository was exchanged'],
    RepositoryExchanged,
    nothing,
    none,
    () => new RepositoryExchanged(),
  ),
  faultKind(
    ['filesystem-unanswered', 'the filesystem of the repository does not answer'],
    FilesystemUnanswered,
    z.object({ retryAfterSeconds: z.number().min(0) }),
    ({ retryAfterSeconds }) => ({ retryAfterSeconds }),
    ({ retryAfterSeconds }) => new FilesystemUnanswered([], retryAfterSeconds),
  ),
  faultKind(
    ['pack-refused', 'Git has refused the request'],
    PackRefused,
    z.object({ answer: z.base64() }),
    ({ answer }) => ({ answer: answer.toString('base64') }),
    ({ answer }) => new PackRefused(Buffer.from(answer, 'base64')),
  ),
  faultKind(
    ['upstream-refused', 'the upstream has refused the request'],
    UpstreamRefusal,
    z.object({ status: z.number().int(), headers: z.array(z.string()), body: z.base64() }),
    ({ status, headers, body }) => ({ status, headers: [...headers], body: body.toString('base64') }),
    ({ status, headers, body }) => new UpstreamRefusal(status, headers, Buffer.from(body, 'base64')),
  ),
  faultKind(
    ['upstream-unavailable', 'the upstream cannot answer now'],
    UpstreamUnavailable,
    z.object({
      text: z.string(),
      retryAfterMs: z.number().min(0).optional(),
      status: z.number().int().optional(),
      wasAsked: z.boolean(),
    }),
    ({ message: text, retryAfterMs, status, wasAsked }) => ({ text, retryAfterMs, status, wasAsked }),
    ({ text, ...known }) => new UpstreamUnavailable(text, known),
  ),
  faultKind(
    ['peer-refused', 'the node does not make this entry'],
    PeerRefused,
    z.object({ why: z.enum(['elsewhere', 'different']), text: z.string() }),
    ({ why, message: text }) => ({ why, text }),
    ({ why, text }) => new PeerRefused(why, text),
  ),
]

const unreachable = { code: 'closing', message: 'the node is about to end' }
const failed = { code: 'failed', message: 'the fill has failed; see the log of the node that has run it' }
const failedDetails = z.object({
  fault: z.enum(['producer', 'timeout', 'first-byte', 'silence', 'unread', 'stalled']),
  text: z.string(),
})

/**
 * Tells other nodes of the errors that a fill or an origin ends with, such that their clients are told what the clients here
 * are. All other errors become that of a fill that has failed. One that ended because its node is about to end tells nothing
 * of its key: to the asking node it means that the node is not there.
 */
export class OriginFaults implements FaultCodec {
  readonly #kinds: readonly FaultKind[]

  /** @param more kinds of errors besides those that all origins have */
  constructor(more: readonly FaultKind[] = []) {
    this.#kinds = [...kinds, ...more]
  }

  encode(error: unknown): PeerFault {
    const isOfFill = error instanceof FillError
    const known = this.#encodeKnown(error) ?? (isOfFill ? this.#encodeKnown(error.cause) : undefined)
    if (known) return known
    const fault: FillFault = isOfFill ? error.fault : 'producer'
    if (fault === 'closed') return unreachable
    const text = error instanceof Error ? error.message : String(error)
    return { ...failed, details: { fault, text } }
  }

  #encodeKnown(error: unknown): PeerFault | undefined {
    if (error instanceof PeerUnreachable || error instanceof PeerSilent)
      return {
        code: 'peer-refused',
        message: error.message,
        details: { why: 'elsewhere', text: error.message },
      }
    for (const { code, message, encode } of this.#kinds) {
      const details = encode(error)
      if (details) return { code, message, details }
    }
    return undefined
  }

  decode({ code, message, details = {} }: PeerFault): Error {
    if (code === unreachable.code) return new PeerUnreachable(message, { isLeaving: true })
    try {
      const kind = this.#kinds.find((each) => each.code === code)
      if (kind) return kind.decode(details)
      const { fault, text } = failedDetails.parse(details)
      return new FillError(fault, text)
    } catch {
      // A node of another version says it in another way.
      return new FillError('producer', message)
    }
  }
}
