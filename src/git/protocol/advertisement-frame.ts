import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import {
  advertisedLine,
  advertisedLines,
  memoryForLines,
  withCapabilities,
} from './listing/advertised-lines.js'
import { FrameReader, type Frame } from './listing/frame-reader.js'
import { inTurns, type Steps } from './listing/steps.js'
import type { RefListing } from './ref-listing.js'

/** Bytes that are read in one iteration of the event loop: less than a millisecond. */
const readAtOnce = 1024 * 1024

/**
 * What stands around the refs in an advertisement of protocol v0 or v1. It depends on the configuration, on `shallow`, and on
 * where HEAD points; the refs themselves are those of a listing. So one frame serves all states that differ in refs only.
 */
export class AdvertisementFrame {
  readonly #frame: Frame
  readonly #objectFormat: string
  /** What HEAD points to; undefined: it is detached, or its branch is unborn. Bytes as Latin-1. */
  readonly #headTarget: string | undefined
  /** The first chunk of the last advertisement: the same Buffer while its bytes are the same. */
  #first = Buffer.alloc(0)

  private constructor(frame: Frame, objectFormat: string, headTarget: string | undefined) {
    this.#frame = frame
    this.#objectFormat = objectFormat
    this.#headTarget = headTarget
  }

  /**
   * Reads the whole bytes of an advertisement as refstream serves it: the service's name, a flush packet, in v1 the version,
   * refs, shallow commits, a flush packet.
   * @returns undefined: it has no ref, or is not understood
   */
  static async read(body: AsyncIterable<Buffer>): Promise<AdvertisementFrame | undefined> {
    const reader = new FrameReader()
    let read = 0
    for await (const chunk of body) {
      if (!reader.push(chunk)) return undefined
      read += chunk.length
      if (read < readAtOnce) continue
      read = 0
      await yieldToEventLoop()
    }
    const frame = reader.end()
    if (!frame) return undefined
    const { symrefs, objectFormat } = factsIn(frame.capabilities)
    // Git names HEAD only (upload-pack.c, upload_pack).
    if (symrefs.some((symref) => !symref.startsWith(headMark)) || symrefs.length > 1) return undefined
    return new AdvertisementFrame(frame, objectFormat, symrefs[0]?.slice(headMark.length))
  }

  /**
   * Resolves with the advertisement with the refs of a complete listing, as chunks, none of which is empty. Those in the middle
   * are made once per block of the listing, so that after a splice only the lines of new blocks are written. The first time, all
   * are: that does not block the event loop.
   * @returns undefined: the capabilities say something else about HEAD or object ids than the listing, there are no refs, or
   *   some are not below refs/
   */
  advertise(listing: RefListing): Promise<readonly Buffer[] | undefined> {
    return inTurns(this.#steps(listing))
  }

  *#steps(listing: RefListing): Steps<readonly Buffer[] | undefined> {
    const { blocks } = listing
    // The first ref, which is not an unborn HEAD.
    let [index, line] = [0, listing.startsUnborn ? 1 : 0]
    if (blocks[0] && line === blocks[0].count) [index, line] = [1, 0]
    const block = blocks[index]
    if (!block || !this.#agreesWith(listing)) return undefined
    const chunks = [this.#beginning(advertisedLine(block, line))]
    const add = (lines: Buffer): void => {
      if (lines.length > 0) chunks.push(lines)
    }
    const others = blocks.slice(index + 1)
    const memory = memoryForLines(others)
    add(advertisedLines(block, line + 1, memory))
    for (const next of others) {
      yield
      add(advertisedLines(next, 0, memory))
    }
    chunks.push(this.#frame.behind)
    return chunks
  }

  #agreesWith(listing: RefListing): boolean {
    const head = listing.find(headName)
    const target = head?.objectId === undefined ? undefined : head.symrefTarget?.toString('latin1')
    const idLength = this.#objectFormat === 'sha256' ? 64 : 40
    return target === this.#headTarget && listing.nameAt === 4 + idLength + 1 && isBelowRefs(listing)
  }

  #beginning(lines: Buffer): Buffer {
    const { ahead, capabilities } = this.#frame
    const first = Buffer.concat([ahead, withCapabilities(lines, capabilities)])
    if (!first.equals(this.#first)) this.#first = first
    return this.#first
  }
}

const headName = Buffer.from('HEAD')
const headMark = 'HEAD:'
const refsPrefix = Buffer.from('refs/')

/** Are all refs but HEAD below refs/? What else packed-refs has is shown by ls-refs only. */
function isBelowRefs(listing: RefListing): boolean {
  const first = listing.headFirst ? 1 : 0
  const { start, end } = listing.range(refsPrefix, first)
  return start === end ? listing.count === first : start === first && end === listing.count
}

/** Returns what capabilities tell about symbolic refs, each as `<name>:<target>`, and about object ids. */
function factsIn(capabilities: string): { readonly symrefs: string[]; readonly objectFormat: string } {
  const valuesOf = (key: string): string[] =>
    capabilities
      .split(' ')
      .flatMap((each) => (each.startsWith(`${key}=`) ? [each.slice(key.length + 1)] : []))
  // Versions of Git before 2.28 do not tell, and know one format.
  return { symrefs: valuesOf('symref'), objectFormat: valuesOf('object-format')[0] ?? 'sha1' }
}
