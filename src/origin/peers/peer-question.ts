import * as z from 'zod'
import { parseFetch, type FetchRequest } from '../../git/protocol/fetch-request.js'
import { PeerRefused, type PeerQuestion } from '../../fleet/peers/peer.js'

const version = z.union([z.literal(0), z.literal(1), z.literal(2)])
const objectFormat = z.string().max(20)

/** A fetch: Git's packets as they are, which the asked node parses again. */
const pack = z.strictObject({
  kind: z.literal('pack'),
  version,
  /** In base64. */
  body: z.base64(),
  /** Was its client admitted, so that it must not be shed? */
  admitted: z.boolean(),
})

const advertisement = z.strictObject({ kind: z.literal('advertisement'), version })
const listing = z.strictObject({ kind: z.literal('listing'), objectFormat })

/** A question about a repository on a disk that all nodes share. */
const disk = z.strictObject({
  origin: z.literal('disk'),
  /** Relative to the root. */
  path: z.string(),
  /** See `sharedIdentityOf`. */
  repository: z.string(),
  /** How old the answer may be, in milliseconds, where leases decide; left out: the disk decides, so no age is allowed. */
  maxAgeMs: z.number().min(0).optional(),
  asked: z.discriminatedUnion('kind', [advertisement, listing, pack]),
})

/** A question about a repository of an upstream. It has the credentials of a client: it is for peers only, and never logged. */
const upstream = z.strictObject({
  origin: z.literal('upstream'),
  /** Relative to the upstream's URL. */
  path: z.string(),
  /** URL of the repository. */
  repository: z.string(),
  /** As in `UpstreamRepository`: equal on all nodes. */
  view: z.string(),
  client: z.string(),
  credentials: z.strictObject({ authorization: z.string().optional(), cookie: z.string().optional() }),
  /** How old the answer may be, in milliseconds. */
  maxAgeMs: z.number().min(0),
  asked: z.discriminatedUnion('kind', [
    advertisement,
    z.strictObject({ ...listing.shape, unborn: z.boolean(), prefixes: z.array(z.string()) }),
    pack,
  ]),
})

const question = z.discriminatedUnion('origin', [disk, upstream])

export type DiskQuestion = z.infer<typeof disk>
export type UpstreamQuestion = z.infer<typeof upstream>
export type PackQuestion = z.infer<typeof pack>

/** @throws PeerRefused if it is of no kind that is known here, as one of another version may be */
export function parseQuestion(asked: PeerQuestion): DiskQuestion | UpstreamQuestion {
  const parsed = question.safeParse(asked)
  if (parsed.success) return parsed.data
  // Names and kinds of fields, without their values.
  const [issue] = parsed.error.issues
  throw new PeerRefused(
    'different',
    `a question of an unknown form (${issue?.path.join('.')}: ${issue?.code})`,
  )
}

/** Returns a fetch as a question. */
export const packQuestion = (
  { version, body }: Pick<FetchRequest, 'version' | 'body'>,
  admitted: boolean,
): PackQuestion => ({ kind: 'pack', version, body: body.toString('base64'), admitted })

/** Returns the fetch that another node asks for. @throws PeerRefused if it is not one that is shared here */
export function fetchOf({ version, body }: PackQuestion): FetchRequest {
  const parsed = parseFetch(Buffer.from(body, 'base64'), version)
  if (typeof parsed === 'string') throw new PeerRefused('different', `a fetch that is not shared (${parsed})`)
  return parsed
}
