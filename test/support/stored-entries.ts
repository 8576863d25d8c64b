import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeMetadata } from '../../src/streamcache/disk/metadata.js'

/**
 * Lays down committed entries as an earlier process leaves them: key `key N` unless `keyOf` says otherwise, token `token N`, the
 * larger N the newer.
 */
export function layDownEntries(
  directory: string,
  count: number,
  bytes = Buffer.from('bytes'),
  keyOf = (index: number): string => `key ${index}`,
): void {
  const entries = join(directory, 'instance-0', 'entries')
  mkdirSync(entries, { recursive: true })
  for (let index = 0; index < count; index++)
    layDown(entries, keyOf(index), index, Date.now() - 1000 * (count - index), bytes)
}

function layDown(entries: string, key: string, index: number, committedAt: number, bytes: Buffer): void {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const path = join(entries, `${createHash('sha256').update(key).digest('hex')}.${randomUUID()}`)
  const token = `token ${index}`
  writeFileSync(`${path}.meta`, encodeMetadata({ key, token, length: bytes.length, sha256, committedAt }))
  writeFileSync(path, bytes)
}
