import { cutWhole, type WholeAnswer } from '../git/protocol/listing-answer.js'
import type { LsRefsRequest } from '../git/protocol/ls-refs.js'
import { RefListing } from '../git/protocol/ref-listing.js'
import type { RefAnswer } from '../origin/origin.js'
import type { SharedListing } from '../origin/ref-listings.js'
import type { AnswerDigests } from '../service/answer-digests.js'
import { questionOf, type AnswerVersions } from '../service/answer-versions.js'
import type { CompressedForm, CompressedForms, FormSource } from '../service/compressed-forms.js'
import { pieces } from '../service/pieces.js'
import { acceptsDelta, deltaOf, sendDelta, type Delta } from './delta.js'
import { matchesDigest, tagOf } from './entity-tag.js'
import { sendForm } from './entry-body.js'
import { writeMax, type Exchange } from './exchange.js'
import { ageHeaders, noCacheHeaders, uploadPackResultHeaders } from './responses.js'

export interface RefsOptions {
  readonly compressed: CompressedForms
  readonly digests: AnswerDigests
  /** Versions of which clients hold answers. */
  readonly versions: AnswerVersions
}

const pieceSize = (): number => writeMax

/**
 * Sends the answer to an ls-refs command: at once if the listing is whole, and else each part as soon as its lines have
 * been read, the head with the first.
 * @throws the fill's error; if the head has been sent by then, the response must be broken off (R4)
 */
export async function sendRefs(
  exchange: Exchange,
  answer: RefAnswer,
  request: LsRefsRequest,
  options: RefsOptions,
): Promise<void> {
  const { response } = exchange
  const { listing } = answer
  let headers = answer.isStale ? [...uploadPackResultHeaders, ...ageHeaders(answer)] : uploadPackResultHeaders
  // Git's clients send none.
  const condition = exchange.request.headers['if-none-match']
  if (condition !== undefined) {
    const tagged = await tag(exchange, answer, request, options)
    if (tagged && matchesDigest(condition, tagged.sha256)) {
      sendUnchanged(exchange, answer, tagged.sha256)
      return
    }
    const delta = tagged && (await deltaFrom(exchange, condition, answer, request, options))
    if (tagged && delta) {
      exchange.throwIfAborted()
      return sendDelta(exchange, delta, headers, tagged)
    }
    const form = await tagged?.form()
    exchange.throwIfAborted()
    if (tagged) headers = [...headers, 'ETag', tagOf(tagged.sha256, form?.coding)]
    if (tagged && form) {
      exchange.countSaved(form.coding, tagged.length - form.length)
      const { coding, length } = form
      response.writeHead(200, [...headers, 'Content-Encoding', coding, 'Content-Length', String(length)])
      return sendForm(exchange, form)
    }
  }
  const whole = listing.cutNow(request)
  if (whole) {
    response.writeHead(200, [...headers, 'Content-Length', String(whole.length)])
    // In as few system calls as possible.
    response.cork()
  }
  // Lines with all their attributes are views of the listing.
  const isShared = request.peel && request.symrefs
  let left = whole?.length
  for await (const part of whole?.parts ?? listing.cut(request)) {
    if (!response.headersSent) response.writeHead(200, headers)
    for (const piece of pieces(part, pieceSize)) {
      if (!(await exchange.send(piece, isShared, left))) return
      if (left !== undefined) left -= piece.length
    }
  }
  response.end()
}

/** An answer that another refstream can name when it asks again. */
interface TaggedAnswer {
  /** Of its plain bytes, in hexadecimal. */
  readonly sha256: string
  readonly length: number
  /** Resolves with the compressed form that the client gets; undefined: the plain bytes. */
  form(): Promise<CompressedForm | undefined>
}

/** @returns undefined: the answer cannot be cut from the whole listing at once @throws the fill's error */
async function tag(
  exchange: Exchange,
  { listing }: RefAnswer,
  request: LsRefsRequest,
  { digests, compressed, versions }: RefsOptions,
): Promise<TaggedAnswer | undefined> {
  await listing.end()
  const whole = listing.cutNow(request)
  if (!whole) return undefined
  const sha256 = await digests.of(listing, request, whole)
  const { length } = whole
  if (listing.entry && listing.whole)
    versions.note(listing.entry.key, questionOf(request), sha256, listing.whole)
  const source = { ...sharedBy(listing, sha256, length), size: length, read: () => listing.cut(request) }
  return { sha256, length, form: () => compressed.made(source, exchange.request.headers['accept-encoding']) }
}

/** Returns how an answer differs from one that the client holds, if the client and this process know both. */
async function deltaFrom(
  { request: { headers } }: Exchange,
  condition: string,
  { listing }: RefAnswer,
  request: LsRefsRequest,
  { versions }: RefsOptions,
): Promise<Delta | undefined> {
  const now = listing.cutNow(request)
  const key = listing.entry?.key
  if (!now || key === undefined || !acceptsDelta({ headers })) return undefined
  const earlier = (sha256: string): WholeAnswer | undefined => {
    const version = versions.find(key, questionOf(request), sha256)
    return version instanceof RefListing ? cutWhole(version, request) : undefined
  }
  return deltaOf(condition, earlier, now)
}

/** Returns what the compressed form of an answer is known by: an answer of as many bytes as the entry has is the entry. */
function sharedBy(
  { entry }: SharedListing,
  sha256: string,
  length: number,
): Pick<FormSource, 'key' | 'rope'> {
  return entry?.rope && entry.size === length ? { key: entry, rope: entry.rope } : { key: sha256 }
}

/** Answers that nothing has changed: methods other than GET and HEAD are answered so (RFC 9110, section 13.1.2). */
function sendUnchanged({ response }: Exchange, answer: RefAnswer, sha256: string): void {
  response.writeHead(412, [
    ...noCacheHeaders,
    ...ageHeaders(answer),
    ...['ETag', tagOf(sha256), 'Content-Length', '0'],
  ])
  response.end()
}
