import { createHash } from 'node:crypto'

export interface FooterFields {
  readonly key: string
  readonly token: string
  readonly length: number
  readonly sha256: string
  readonly committedAt: number
}

/** Returns the footer that versions with format 2 wrote behind a committed body: JSON, its length, a SHA-256, a word. */
export function footer({ key, token, length, sha256, committedAt }: FooterFields): Buffer {
  const json = Buffer.from(JSON.stringify({ key, token, length, sha256, committedAt }))
  const size = Buffer.alloc(4)
  size.writeUInt32BE(json.length)
  const digest = createHash('sha256').update(json).update(size).digest()
  return Buffer.concat([json, size, digest, Buffer.from('rfstrm02')])
}
