import zlib from 'node:zlib'
import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { LRUCache } from 'lru-cache'
import { inTurns, type Entry } from '../streamcache/index.js'

/** A content coding (RFC 9110, section 8.4.1) that this version of Node can produce. */
interface Coding {
  readonly name: 'zstd' | 'gzip'
  readonly create: () => Transform
}

/** Since Node 22.15. */
const { createZstdCompress } = zlib as {
  createZstdCompress?: (options: { chunkSize: number }) => Transform
}

/** Bytes per chunk. With Node's default of 16 KB, a megabyte takes sixty writes. */
const chunkSize = 1024 * 1024

/**
 * Best first. Level 1: object ids hardly compress, and names do at any level; for 100,000 refs, level 6 saves another 1 %
 * and takes half as long again.
 */
const codings: readonly Coding[] = [
  ...(createZstdCompress ? [{ name: 'zstd', create: () => createZstdCompress({ chunkSize }) } as const] : []),
  { name: 'gzip', create: () => zlib.createGzip({ level: 1, chunkSize }) },
]

/** An entry's bytes under a content coding. */
export interface CompressedForm {
  readonly coding: Coding['name']
  readonly chunks: readonly Buffer[]
  readonly length: number
}

export interface CompressionOptions {
  /** Entries of fewer bytes are not compressed; undefined: none is. */
  readonly minBytes: number | undefined
  /** Most bytes of memory for compressed forms. */
  readonly maxBytes: number
}

/**
 * Compressed forms of whole entries. Each is made once, in zlib's threads, when first asked for by a client that accepts
 * it. No request waits for one: until it is ready, the plain bytes are sent. LRU, by memory.
 */
export class CompressedForms {
  readonly #options: CompressionOptions
  readonly #forms: LRUCache<Entry, Map<string, CompressedForm>>
  #isMaking = false
  /** Entries whose compressed form is not made again, because it does not fit. */
  readonly #tooLarge = new WeakSet<Entry>()

  constructor(options: CompressionOptions) {
    this.#options = options
    this.#forms = new LRUCache({
      maxSize: Math.max(1, options.maxBytes),
      sizeCalculation: (forms) => [...forms.values()].reduce((sum, { length }) => sum + length, 1),
    })
  }

  /**
   * Returns whether an answer that has so many bytes so far could be sent in another form to a client with this
   * Accept-Encoding, so that caches must tell them apart (RFC 9110, section 12.5.5). A client that accepts no coding
   * always gets the plain form, which every client can read.
   */
  varies(bytes: number, acceptEncoding: string | undefined): boolean {
    return this.#isLongEnough(bytes) && preferred(acceptEncoding) !== undefined
  }

  #isLongEnough(bytes: number): boolean {
    return this.#options.minBytes !== undefined && bytes >= this.#options.minBytes
  }

  /** Returns the best form of a whole entry that a client accepts; undefined: there is none, or it is being made. */
  of(entry: Entry, acceptEncoding: string | undefined): CompressedForm | undefined {
    const { size } = entry
    const coding = size !== undefined && this.#isLongEnough(size) && preferred(acceptEncoding)
    if (!coding) return undefined
    const form = this.#forms.get(entry)?.get(coding.name)
    if (!form) void this.#make(entry, coding)
    return form
  }

  async #make(entry: Entry, coding: Coding): Promise<void> {
    // One at a time: the same threads read and write the cache's files.
    if (this.#isMaking || this.#tooLarge.has(entry)) return
    this.#isMaking = true
    try {
      const form = await compress(entry, coding)
      if (form.length < this.#options.maxBytes) {
        this.#forms.set(entry, new Map(this.#forms.get(entry)).set(coding.name, form))
      } else this.#tooLarge.add(entry)
    } catch {
      // The entry could not be read; its followers receive the error.
    } finally {
      this.#isMaking = false
    }
  }
}

async function compress(entry: Entry, coding: Coding): Promise<CompressedForm> {
  const chunks: Buffer[] = []
  await pipeline(inTurns(entry.follow()), coding.create(), async (compressed: AsyncIterable<Buffer>) => {
    // Copies, because a chunk is a view of a buffer of chunkSize.
    for await (const chunk of compressed) chunks.push(Buffer.from(chunk))
  })
  return { coding: coding.name, chunks, length: chunks.reduce((sum, { length }) => sum + length, 0) }
}

/** There are few different headers: one for each kind of client. */
const preferences = new LRUCache<string, { readonly coding: Coding | undefined }>({
  max: 100,
  memoMethod: (header) => ({ coding: findPreferred(header) }),
})

/** Returns the best coding that an Accept-Encoding header allows (RFC 9110, section 12.5.3). */
const preferred = (header = ''): Coding | undefined => preferences.memo(header).coding

function findPreferred(header: string): Coding | undefined {
  const weights = new Map<string, number>()
  for (const item of header.toLowerCase().split(',')) {
    const [, name, weight] = /^\s*([^\s;]+)\s*(?:;\s*q=([\d.]+)\s*)?$/.exec(item) ?? []
    if (name !== undefined) weights.set(name, Number(weight ?? 1))
  }
  return codings.find(({ name }) => (weights.get(name) ?? weights.get('*') ?? 0) > 0)
}
