import {
  FetchLimits,
  isReason,
  isObservedRef,
  objectIdDigits,
  objectIdEnd,
  objectKeyword,
  type FetchDependency,
  type UnsharedReason,
} from './fetch-arguments.js'
import type { FetchDigest } from './fetch-digest.js'
import { PacketCursor, pktLine } from './pkt-line.js'

interface ParsedV2 {
  readonly objectFormat: string
  readonly dependsOn: FetchDependency
  readonly endsInFlush: true
}

/** Arguments without a value. */
const flags = new Set([
  ...['done', 'thin-pack', 'no-progress', 'include-tag', 'ofs-delta'],
  ...['deepen-relative', 'sideband-all', 'wait-for-done'],
])

/** Parses a fetch command of protocol v2 (gitprotocol-v2(5), "fetch"; serve.c, upload-pack.c). */
export function parseFetchV2(body: Buffer, digest: FetchDigest): ParsedV2 | UnsharedReason {
  const cursor = new PacketCursor(body)
  if (cursor.read() !== 'line' || cursor.text() !== 'command=fetch') return 'malformed'
  const objectFormat = readCapabilities(cursor, digest)
  if (typeof objectFormat !== 'string') return objectFormat.reason
  const dependsOn = readArguments(cursor, objectIdDigits(objectFormat))
  if (isReason(dependsOn)) return dependsOn
  return { objectFormat, dependsOn, endsInFlush: true }
}

/**
 * Reads up to the delimiter; returns the object format. A session id is left out of the digest, but not that there is one:
 * Git refuses it unless transfer.advertiseSID is set, and such an error must not reach clients that sent none.
 */
function readCapabilities(cursor: PacketCursor, digest: FetchDigest): string | { reason: UnsharedReason } {
  let objectFormat: string | undefined
  for (;;) {
    const kind = cursor.read()
    if (kind === 'delimiter') return objectFormat ?? 'sha1'
    // Without a delimiter there are no arguments, so that nothing is wanted.
    if (kind !== 'line') return { reason: 'malformed' }
    const text = cursor.text()
    if (text.startsWith('agent=')) digest.replace(cursor.packetStart, cursor.next)
    else if (text.startsWith('session-id=')) digest.replace(cursor.packetStart, cursor.next, withoutValue)
    else if (text === 'object-format=sha1' || text === 'object-format=sha256') {
      if (objectFormat !== undefined) return { reason: 'malformed' }
      objectFormat = text.slice('object-format='.length)
    } else return { reason: 'arguments' }
  }
}

const withoutValue = pktLine('session-id=')

/** Reads up to the flush packet, which must end the body; returns what the answer depends on. */
function readArguments(cursor: PacketCursor, digits: number): FetchDependency | UnsharedReason {
  const limits = new FetchLimits()
  const seen = new Set<string>()
  for (;;) {
    const kind = cursor.read()
    if (kind === 'flush') break
    if (kind !== 'line') return 'malformed'
    const keyword = objectKeyword(cursor)
    if (keyword !== undefined) {
      // Git does not look at what follows an id.
      if (objectIdEnd(cursor, keyword, digits) !== cursor.end) return 'malformed'
      if (keyword === 'want') seen.add('want')
      continue
    }
    const line = cursor.text()
    if (flags.has(line)) seen.add(line)
    else if (line.startsWith('want-ref ')) {
      if (!isObservedRef(line.slice('want-ref '.length))) return 'arguments'
      seen.add('want').add('want-ref')
    } else {
      const reason = limits.take(line, digits)
      if (reason) return reason
    }
  }
  if (cursor.read() !== 'end' || limits.areMixed) return 'malformed'
  // Git's answer to a request that wants nothing is empty. One that only offers commits and waits for `done` gets the list
  // of those that the repository has: it ends in a flush packet, and one that is a little old claims too few at worst.
  if (!seen.has('want') && !seen.has('wait-for-done')) return 'malformed'
  if (seen.has('want-ref') || limits.byRef) return 'refs'
  return seen.has('include-tag') ? 'tags' : 'objects'
}
