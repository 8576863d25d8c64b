import {
  FetchLimits,
  objectIdDigits,
  objectIdEnd,
  objectKeyword,
  type UnsharedReason,
} from './fetch-arguments.js'
import type { FetchDigest } from './fetch-digest.js'
import { PacketCursor, pktLine } from './pkt-line.js'

interface ParsedV0 {
  readonly objectFormat: string
  readonly dependsOn: 'refs'
  readonly endsInFlush: boolean
}

/** Capabilities that a client may ask for (gitprotocol-capabilities(5)), but agent, session-id and object-format. */
const known = new Set([
  ...['multi_ack', 'multi_ack_detailed', 'no-done', 'thin-pack', 'side-band', 'side-band-64k', 'ofs-delta'],
  ...['shallow', 'deepen-since', 'deepen-not', 'deepen-relative', 'no-progress', 'include-tag', 'filter'],
  ...['allow-tip-sha1-in-want', 'allow-reachable-sha1-in-want'],
])

/** Capabilities that are read of one request: clients name them in one line, and a mebibyte of them takes long. */
const mostItems = 256

/**
 * Parses a request of protocol v0 or v1 over HTTP (gitprotocol-pack(5), gitprotocol-http(5); upload-pack.c, receive_needs and
 * get_common_commits). Git checks the wants against its refs, so the answer depends on them.
 */
export function parseFetchV0(body: Buffer, digest: FetchDigest): ParsedV0 | UnsharedReason {
  const cursor = new PacketCursor(body)
  const wants = new Wants(cursor, digest)
  const reason = wants.read()
  if (reason) return reason
  const ending = readHaves(cursor, wants)
  if (ending === 'malformed') return ending
  if (!wants.features.has('side-band') && !wants.features.has('side-band-64k')) return 'raw'
  return { objectFormat: wants.objectFormat, dependsOn: 'refs', endsInFlush: ending !== 'flush' }
}

/** The lines up to the first flush packet: wants with capabilities, and limits. */
class Wants {
  readonly features = new Set<string>()
  readonly limits = new FetchLimits()
  objectFormat = 'sha1'
  readonly #cursor: PacketCursor
  readonly #digest: FetchDigest
  #count = 0
  #items = 0

  constructor(cursor: PacketCursor, digest: FetchDigest) {
    this.#cursor = cursor
    this.#digest = digest
  }

  get digits(): number {
    return objectIdDigits(this.objectFormat)
  }

  /** Reads up to the flush packet; returns why the request cannot be shared, or undefined. */
  read(): UnsharedReason | undefined {
    const cursor = this.#cursor
    for (;;) {
      const kind = cursor.read()
      if (kind === 'flush') return this.#count > 0 && !this.limits.areMixed ? undefined : 'malformed'
      if (kind !== 'line') return 'malformed'
      const reason = this.#line()
      if (reason) return reason
    }
  }

  #line(): UnsharedReason | undefined {
    const cursor = this.#cursor
    switch (objectKeyword(cursor)) {
      case 'want':
        return this.#want()
      case 'shallow':
        return objectIdEnd(cursor, 'shallow', this.digits) === cursor.end ? undefined : 'malformed'
      case 'have':
        return 'malformed'
      case undefined: {
        const line = cursor.text()
        // Git wants the capability first.
        if (line.startsWith('filter ') && !this.features.has('filter')) return 'malformed'
        return this.limits.take(line, this.digits)
      }
    }
  }

  /** `want <oid>[ <capabilities>]` */
  #want(): UnsharedReason | undefined {
    const cursor = this.#cursor
    // Git 2.39 names no object format; it is told by the length of the ids.
    if (this.#count++ === 0 && objectIdEnd(cursor, 'want', objectIdDigits('sha256')))
      this.objectFormat = 'sha256'
    const idEnd = objectIdEnd(cursor, 'want', this.digits)
    if (idEnd === undefined) return 'malformed'
    if (idEnd === cursor.end) return undefined
    const [first, ...items] = cursor.bytes.toString('latin1', idEnd, cursor.end).split(' ', mostItems + 2)
    if (first !== '') return 'malformed'
    this.#items += items.length
    if (this.#items > mostItems) return 'arguments'
    const kept: string[] = []
    for (const item of items) {
      if (/^(?:agent|session-id)=/.test(item)) {
        // Git separates capabilities at any white space.
        if (!/^[\x21-\x7e]*$/.test(item)) return 'malformed'
        continue
      }
      kept.push(item)
      if (known.has(item)) this.features.add(item)
      else if (item !== '' && item !== `object-format=${this.objectFormat}`) return 'arguments'
    }
    if (kept.length < items.length) this.#replace(idEnd, kept)
    return undefined
  }

  /** Leaves agent and session-id out of the digest: an agent tells Git nothing, a session id is written to its log. */
  #replace(idEnd: number, items: readonly string[]): void {
    const { bytes, packetStart, start, end, next } = this.#cursor
    const line =
      [bytes.toString('latin1', start, idEnd), ...items].join(' ') + bytes.toString('latin1', end, next)
    this.#digest.replace(packetStart, next, pktLine(line))
  }
}

/**
 * Reads what follows the wants to the end of the body; returns in what it ends. A client that keeps no connection sends all
 * that it has to say again in each round: Git ends at the first flush packet.
 */
function readHaves(
  cursor: PacketCursor,
  { limits, digits }: Wants,
): 'done' | 'flush' | 'nothing' | 'malformed' {
  for (let count = 0; ; count++) {
    const kind = cursor.read()
    // A client first asks where its history will be cut (upload-pack.c, upload_pack); otherwise such an answer is empty.
    if (kind === 'end') return count === 0 && limits.any ? 'nothing' : 'malformed'
    if (kind === 'flush') return cursor.read() === 'end' ? 'flush' : 'malformed'
    if (kind !== 'line') return 'malformed'
    const keyword = objectKeyword(cursor)
    if (keyword === 'have') {
      if (objectIdEnd(cursor, keyword, digits) !== cursor.end) return 'malformed'
    } else {
      return keyword === undefined && cursor.text() === 'done' && cursor.read() === 'end'
        ? 'done'
        : 'malformed'
    }
  }
}
