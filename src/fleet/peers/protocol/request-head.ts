import type { IncomingHttpHeaders } from 'node:http'
import type { ProvenRequest } from './proof.js'

/** Where a node is asked for entries, and where it is told something. */
export const entriesPath = '/v1/entries'
export const messagesPath = '/v1/messages'

/** The header of answers that names the present session of the node (server/nonce-sessions.ts). */
export const sessionHeader = 'refstream-session'

/** Most bytes of a question: the request for a pack may be 1 MiB, which stands in it in JSON. */
export const bodyMax = 3 << 20

/** What the head of a request tells. */
export interface RequestHead extends Omit<ProvenRequest, 'method' | 'path'> {
  readonly proof: Buffer
  /** Bytes of the body. */
  readonly length: number
}

const names = {
  from: 'refstream-from',
  to: 'refstream-to',
  session: sessionHeader,
  nonce: 'refstream-nonce',
  bodySha256: 'refstream-body-sha256',
  have: 'refstream-have',
  proof: 'refstream-proof',
} as const

const digest = /^[0-9a-f]{64}$/
const forms: Readonly<Record<keyof typeof names, RegExp>> = {
  from: /^[\w-]{1,64}$/,
  to: /^[\w-]{1,64}$/,
  session: /^[0-9a-f]{32}$/,
  nonce: /^[0-9a-f]{32}$/,
  bodySha256: digest,
  have: digest,
  proof: digest,
}

/** Names no session: what a node sends that does not know the other one's yet. */
export const noSession = '0'.repeat(32)

/** Is it a SHA-256 in hexadecimal, as digests are written everywhere? */
export const isDigest = (text: string | undefined): text is string => text !== undefined && digest.test(text)

/** Returns the headers of a request. */
export function headersOf({ proof, length, have, ...rest }: RequestHead): Record<string, string | number> {
  const fields = { ...rest, proof: proof.toString('hex'), ...(have === undefined ? {} : { have }) }
  const headers = Object.entries(fields).map(([key, value]) => [names[key as keyof typeof names], value])
  return {
    'content-type': 'application/json',
    'content-length': length,
    ...(Object.fromEntries(headers) as Record<string, string>),
  }
}

/** Reads the headers of a request; undefined: they are not those of a node. */
export function headOf(headers: IncomingHttpHeaders): RequestHead | undefined {
  const read = (key: keyof typeof names): string | undefined => {
    const value = headers[names[key]]
    return typeof value === 'string' && forms[key].test(value) ? value : undefined
  }
  const [from, to, session, nonce] = [read('from'), read('to'), read('session'), read('nonce')]
  const [bodySha256, proof, have] = [read('bodySha256'), read('proof'), read('have')]
  const { 'content-length': length = '' } = headers
  if (!from || !to || !session || !nonce || !bodySha256 || !proof || !/^\d{1,15}$/.test(length)) {
    return undefined
  }
  // A digest in another form is not ignored: the proof is over it.
  if (have === undefined && headers[names.have] !== undefined) return undefined
  const binary = Buffer.from(proof, 'hex')
  return { from, to, session, nonce, bodySha256, have, proof: binary, length: Number(length) }
}
