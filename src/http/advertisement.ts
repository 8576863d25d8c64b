import type { Reading } from '../freshness/fresh-cache.js'
import type { WholeAnswer } from '../git/protocol/listing-answer.js'
import type { AnswerVersions } from '../service/answer-versions.js'
import { formOfEntry, type CompressedForm, type CompressedForms } from '../service/compressed-forms.js'
import { acceptsDelta, deltaOf, sendDelta, type Delta } from './delta.js'
import { matchesDigest, tagOf } from './entity-tag.js'
import { sendEntryBody, sendForm } from './entry-body.js'
import { Rope, type Entry } from '../streamcache/index.js'
import type { Exchange } from './exchange.js'
import { ageHeaders, noCacheHeaders } from './responses.js'

/** In Git's order (http-backend.c, get_info_refs). */
const gitHeaders = [...noCacheHeaders, 'Content-Type', 'application/x-git-upload-pack-advertisement']

export interface AdvertisementOptions {
  readonly compressed: CompressedForms
  /** Send an ETag with every answer, not only to requests with If-None-Match. */
  readonly etag: boolean
  /** Versions of which clients hold answers. */
  readonly versions: AnswerVersions
}

/** How an entry is sent to a client. */
interface Sent {
  /** undefined: as it is. */
  readonly form: CompressedForm | undefined
  /** Of the entry, for its tag; undefined: it is sent without one. */
  readonly sha256?: string | undefined
  /** Has the client these very bytes? */
  readonly isUnchanged?: boolean
}

/**
 * Sends what a follower reads as the answer to `GET info/refs?service=git-upload-pack`. The head is sent with the first
 * bytes, so that the failure of a fill that has produced none can still be sent as an error. What is in memory, and needs
 * no tag, is sent without a promise.
 * @throws the fill's error, or rejects with it; if the head has been sent by then, the response must be broken off (R4)
 */
export function sendAdvertisement(
  exchange: Exchange,
  reading: Reading,
  options: AdvertisementOptions,
): Promise<void> | undefined {
  const { headers } = exchange.request
  // Git's clients send none. A request that has one always gets a tag, which a growing entry has only at its end.
  const condition = headers['if-none-match']
  if (options.etag || condition !== undefined) return sendTagged(exchange, reading, condition, options)
  const { compressed } = options
  const send = (chunk: Buffer | null): Promise<void> | undefined =>
    sendEntry(
      exchange,
      reading,
      chunk,
      { form: compressed.of(reading.entry, headers['accept-encoding']) },
      options,
    )
  const first = reading.follower.read()
  return first instanceof Promise ? first.then(send) : send(first)
}

async function sendTagged(
  exchange: Exchange,
  reading: Reading,
  condition: string | undefined,
  options: AdvertisementOptions,
): Promise<void> {
  const { entry, follower } = reading
  const { request } = exchange
  const { compressed, versions } = options
  if (condition !== undefined) await entry.end()
  const first = follower.read()
  const chunk = first instanceof Promise ? await first : first

  const acceptEncoding = request.headers['accept-encoding']
  // Of an entry with a rope it is computed when the first request needs it.
  const digest = entry.digest()
  const sha256 = digest instanceof Promise ? await digest : digest
  const isUnchanged = condition !== undefined && matchesDigest(condition, sha256)
  if (condition !== undefined && sha256 !== undefined && entry.rope) {
    versions.note(entry.key, question, sha256, entry.rope)
    const delta = isUnchanged ? undefined : await deltaFrom(exchange, condition, entry, versions)
    exchange.throwIfAborted()
    if (delta) {
      const headers = [...gitHeaders, ...ageHeaders(reading)]
      return sendDelta(exchange, delta, headers, { sha256, length: entry.length })
    }
  }
  // A refstream that asks for a changed entry asks once: it would never get a form that is ready for the next request.
  const form =
    condition === undefined || isUnchanged
      ? compressed.of(entry, acceptEncoding)
      : await compressed.made(formOfEntry(entry), acceptEncoding)
  return sendEntry(exchange, reading, chunk, { form, sha256, isUnchanged }, options)
}

/** @param chunk what the follower has read already */
function sendEntry(
  exchange: Exchange,
  reading: Reading,
  chunk: Buffer | null,
  { form, sha256, isUnchanged }: Sent,
  { compressed }: AdvertisementOptions,
): Promise<void> | undefined {
  const { entry, follower } = reading
  const { request, response } = exchange
  const headers = [...gitHeaders]
  if (sha256 !== undefined) headers.push('ETag', tagOf(sha256, form?.coding))
  if (compressed.varies(entry.length, request.headers['accept-encoding']))
    headers.push('Vary', 'Accept-Encoding')
  if (reading.isStale) headers.push(...ageHeaders(reading))
  if (isUnchanged) {
    response.writeHead(304, headers).end()
    return undefined
  }
  if (form) {
    headers.push('Content-Encoding', form.coding)
    exchange.countSaved(form.coding, entry.length - form.length)
  }
  const size = form?.length ?? follower.size
  if (size !== undefined) headers.push('Content-Length', String(size))
  response.writeHead(200, headers)

  if (request.method === 'HEAD') return sendEntryBody(exchange, follower, null)
  if (form) return sendForm(exchange, form)
  return sendEntryBody(exchange, follower, chunk)
}

/** Every client that asks for an advertisement asks for the same. */
const question = ''

/**
 * Returns how an advertisement differs from one that the client holds, if the client and this process know both. Only of
 * entries with a rope, whose versions share most of their memory.
 */
async function deltaFrom(
  { request }: Exchange,
  condition: string,
  { key, rope }: Entry,
  versions: AnswerVersions,
): Promise<Delta | undefined> {
  if (!rope || request.method !== 'GET' || !acceptsDelta(request)) return undefined
  const earlier = (sha256: string): WholeAnswer | undefined => {
    const version = versions.find(key, question, sha256)
    return version instanceof Rope ? wholeOf(version) : undefined
  }
  return deltaOf(condition, earlier, wholeOf(rope))
}

const wholeOf = ({ chunks, length }: Rope): WholeAnswer => ({ parts: chunks, length })
