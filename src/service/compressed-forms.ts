import zlib from 'node:zlib'
import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { LRUCache } from 'lru-cache'
import { inTurns, type Entry } from '../streamcache/index.js'

/** A content coding (RFC 9110, section 8.4.1) that this Node can make. */
interface Coding {
  readonly name: 'zstd' | 'gzip'
  readonly create: () => Transform
}

/** zstd came with Node 22.15. */
const { createZstdCompress } = zlib as {
  createZstdCompress?: (options: { chunkSize: number }) => Transform
}

/** Bytes per chunk. Node's own 16 KB make sixty writes of a megabyte. */
const chunkSize = 1024 * 1024

/**
 * Best first. Level 1: object ids hardly compress, names do at any level; for 100,000 refs, level 6 makes 1 % less of
 * it and takes half as long again.
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
  /** Entries of fewer bytes go out as they are; undefined: all do. */
  readonly minBytes: number | undefined
  /** Most bytes of memory for compressed forms. */
  readonly maxBytes: number
}

/**
 * Compressed forms of whole entries, each made once, in zlib's threads, when somebody who accepts it asks first. Nobody
 * waits for one: until it is ready, the plain bytes go out.
 */
export class CompressedForms {
  readonly #options: CompressionOptions
  readonly #forms: LRUCache<Entry, Map<string, CompressedForm>>
  readonly #making = new Set<Entry>()
  /** Entries whose compressed form is not worth making again: it does not fit. */
  readonly #tooLarge = new WeakSet<Entry>()

  constructor(options: CompressionOptions) {
    this.#options = options
    this.#forms = new LRUCache({
      maxSize: Math.max(1, options.maxBytes),
      sizeCalculation: (forms) => [...forms.values()].reduce((sum, { length }) => sum + length, 1),
    })
  }

  /**
   * Might a client with this Accept-Encoding get an answer of so many bytes, so far, in another form at another time?
   * Whoever accepts none gets the plain one always, and that is right for everybody.
   */
  varies(bytes: number, acceptEncoding: string | undefined): boolean {
    return this.#suits(bytes) && preferred(acceptEncoding) !== undefined
  }

  #suits(bytes: number): boolean {
    return this.#options.minBytes !== undefined && bytes >= this.#options.minBytes
  }

  /** The best form of a whole entry that a client accepts, if it is there; if not, it will be soon. */
  of(entry: Entry, acceptEncoding: string | undefined): CompressedForm | undefined {
    const { size } = entry
    const coding = size !== undefined && this.#suits(size) && preferred(acceptEncoding)
    if (!coding) return undefined
    const form = this.#forms.get(entry)?.get(coding.name)
    if (!form) void this.#make(entry, coding)
    return form
  }

  async #make(entry: Entry, coding: Coding): Promise<void> {
    // One at a time: the threads are also those that read and write the cache's files.
    if (this.#making.size > 0 || this.#tooLarge.has(entry)) return
    this.#making.add(entry)
    try {
      const form = await compress(entry, coding)
      if (form.length < this.#options.maxBytes) {
        this.#forms.set(entry, new Map(this.#forms.get(entry)).set(coding.name, form))
      } else this.#tooLarge.add(entry)
    } catch {
      // The entry could not be read; whoever follows it learns why.
    } finally {
      this.#making.delete(entry)
    }
  }
}

async function compress(entry: Entry, coding: Coding): Promise<CompressedForm> {
  const chunks: Buffer[] = []
  await pipeline(inTurns(entry.follow()), coding.create(), async (compressed: AsyncIterable<Buffer>) => {
    // Copies, so that none keeps all the room that was made for it.
    for await (const chunk of compressed) chunks.push(Buffer.from(chunk))
  })
  return { coding: coding.name, chunks, length: chunks.reduce((sum, { length }) => sum + length, 0) }
}

/** Headers are few: each kind of client has one. */
const preferences = new LRUCache<string, { readonly coding: Coding | undefined }>({
  max: 100,
  memoMethod: (header) => ({ coding: findPreferred(header) }),
})

/** The best coding that an Accept-Encoding header allows (RFC 9110, section 12.5.3). */
const preferred = (header = ''): Coding | undefined => preferences.memo(header).coding

function findPreferred(header: string): Coding | undefined {
  const weights = new Map<string, number>()
  for (const item of header.toLowerCase().split(',')) {
    const [, name, weight] = /^\s*([^\s;]+)\s*(?:;\s*q=([\d.]+)\s*)?$/.exec(item) ?? []
    if (name !== undefined) weights.set(name, Number(weight ?? 1))
  }
  return codings.find(({ name }) => (weights.get(name) ?? weights.get('*') ?? 0) > 0)
}
