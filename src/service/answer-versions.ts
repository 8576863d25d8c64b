import { LRUCache } from 'lru-cache'
import { canonicalPrefixes } from '../git/protocol/listing-answer.js'
import type { RefQuery } from '../git/protocol/ls-refs.js'
import type { RefListing } from '../git/protocol/ref-listing.js'
import type { Rope } from '../streamcache/index.js'

/** What answers are made from: a listing, or an advertisement as a whole. Both have `chunks`, which versions share. */
export type VersionSource = RefListing | Rope

/** Most versions of one listing; most questions of a version, and most characters of one; bytes that each takes, about. */
const most = { versions: 8, questions: 256, characters: 1024, overhead: 500 }

interface Version {
  readonly source: VersionSource
  /** The digest that was sent, by question. */
  readonly digests: Map<string, string>
}

/** Names a question to a listing. */
export const questionOf = ({ unborn, prefixes }: RefQuery): string =>
  `${unborn} ${canonicalPrefixes(prefixes).join(' ')}`

/** The versions under one key, the newest last. */
class Versions {
  readonly #versions: Version[] = []
  /** How many versions have each piece of memory. */
  readonly #uses = new Map<ArrayBufferLike, number>()
  /** Of memory, what the versions share counted once. */
  bytes = most.overhead

  get count(): number {
    return this.#versions.length
  }

  find(question: string, sha256: string): VersionSource | undefined {
    return this.#versions.findLast(({ digests }) => digests.get(question) === sha256)?.source
  }

  /** @returns whether anything changed */
  note(question: string, sha256: string, source: VersionSource): boolean {
    let version = this.#versions.find((each) => each.source === source)
    if (!version) {
      version = { source, digests: new Map() }
      this.#versions.push(version)
      for (const { buffer } of source.chunks) this.#use(buffer)
      if (this.#versions.length > most.versions) this.dropFirst()
    }
    const { digests } = version
    if (digests.has(question) || digests.size >= most.questions) return false
    digests.set(question, sha256)
    this.bytes += question.length + most.overhead
    return true
  }

  #use(buffer: ArrayBufferLike): void {
    const uses = this.#uses.get(buffer) ?? 0
    if (uses === 0) this.bytes += buffer.byteLength
    this.#uses.set(buffer, uses + 1)
  }

  dropFirst(): void {
    const dropped = this.#versions.shift()
    if (!dropped) return
    for (const { buffer } of dropped.source.chunks) {
      const uses = this.#uses.get(buffer) ?? 0
      if (uses > 1) this.#uses.set(buffer, uses - 1)
      else if (this.#uses.delete(buffer)) this.bytes -= buffer.byteLength
    }
    for (const question of dropped.digests.keys()) this.bytes -= question.length + most.overhead
  }
}

/**
 * The last versions of answers whose entity tags were sent, so that a refstream that holds one of them can be told how the
 * newest differs. Only what such a refstream asks for is remembered. LRU, by memory.
 */
export class AnswerVersions {
  readonly #keys: LRUCache<string, Versions>
  readonly #maxBytes: number

  /** @param maxBytes of memory, most of which the versions that are in use have in common with these */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#keys = new LRUCache({ maxSize: Math.max(1, maxBytes), sizeCalculation: ({ bytes }) => bytes })
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.#keys.calculatedSize
  }

  /**
   * Notes that the tag of an answer is sent.
   * @param key of the entry that it was made from: versions of one entry are never compared with those of another one (R8)
   */
  note(key: string, question: string, sha256: string, source: VersionSource): void {
    if (question.length > most.characters) return
    const versions = this.#keys.get(key) ?? new Versions()
    if (!versions.note(question, sha256, source)) return
    while (versions.count > 1 && versions.bytes > this.#maxBytes) versions.dropFirst()
    // Its size is another one now.
    this.#keys.delete(key)
    this.#keys.set(key, versions)
  }

  /** Returns what an answer with this digest to this question was made from. */
  find(key: string, question: string, sha256: string): VersionSource | undefined {
    return this.#keys.get(key)?.find(question, sha256)
  }
}
