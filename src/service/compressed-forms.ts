import zlib from 'node:zlib'
import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { LRUCache } from 'lru-cache'
import { inTurns, type Entry, type Rope } from '../streamcache/index.js'
import { GzipPieces } from './gzip-pieces.js'

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

/** Bytes under a content coding. */
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

/** Bytes that can be compressed. */
export interface FormSource {
  /** An entry, or the SHA-256 of the bytes: what has the same digest has one form. */
  readonly key: Entry | string
  /** Number of bytes; undefined: they are still growing, and there is no form. */
  readonly size: number | undefined
  read(): AsyncIterable<Buffer>
  /** The same bytes, in chunks that other versions share. */
  readonly rope?: Rope | undefined
}

export const formOfEntry = (entry: Entry): FormSource => ({
  key: entry,
  size: entry.size,
  read: () => inTurns(entry.follow()),
  rope: entry.rope,
})

/** Forms that are not made again because they do not fit: so many are remembered by digest. */
const tooLargeMax = 1000

/** The forms of one entry or digest, by coding. */
interface HeldForms {
  readonly key: Entry | string
  readonly byCoding: ReadonlyMap<string, CompressedForm>
}

/** Returns what forms are stored under: the entries of one key follow one another, and only the last has forms. */
const slotOf = (key: Entry | string): string => (typeof key === 'string' ? key : key.key)

/**
 * Compressed forms of whole entries, and of answers that are cut from them. Each is made once, in zlib's threads, when
 * first asked for by a client that accepts it. LRU, by memory: each form counts with all its bytes. The form of an entry
 * with a rope shares pieces with the form of the version before it, which it takes the place of.
 */
export class CompressedForms {
  readonly #options: CompressionOptions
  readonly #forms: LRUCache<string, HeldForms>
  readonly #pieces = new GzipPieces()
  readonly #making = new Map<Entry | string, Promise<CompressedForm | undefined>>()
  /** Resolves when the last of those being made is ready. One at a time: the same threads read and write the cache's files. */
  #last: Promise<unknown> = Promise.resolve()
  readonly #tooLarge = new WeakSet<Entry>()
  readonly #tooLargeDigests = new LRUCache<string, true>({ max: tooLargeMax })

  constructor(options: CompressionOptions) {
    this.#options = options
    this.#forms = new LRUCache({
      maxSize: Math.max(1, options.maxBytes),
      sizeCalculation: ({ byCoding }) => [...byCoding.values()].reduce((sum, { length }) => sum + length, 1),
    })
  }

  #find(key: Entry | string, coding: Coding): CompressedForm | undefined {
    const held = this.#forms.get(slotOf(key))
    return held?.key === key ? held.byCoding.get(coding.name) : undefined
  }

  #keep(key: Entry | string, form: CompressedForm): void {
    const held = this.#forms.peek(slotOf(key))
    const byCoding = new Map(held?.key === key ? held.byCoding : []).set(form.coding, form)
    this.#forms.set(slotOf(key), { key, byCoding })
  }

  /**
   * Returns whether an answer that has so many bytes so far could be sent in another form to a client with this
   * Accept-Encoding, so that caches must tell them apart (RFC 9110, section 12.5.5). A client that accepts no coding
   * always gets the plain form, which every client can read.
   */
  varies(bytes: number, acceptEncoding: string | undefined): boolean {
    return this.#isLongEnough(bytes) && preferred(acceptEncoding).ofBytes !== undefined
  }

  #isLongEnough(bytes: number): boolean {
    return this.#options.minBytes !== undefined && bytes >= this.#options.minBytes
  }

  /** Returns the best coding of what has this size, if it is long enough, that a client accepts. */
  #codingOf({ size, rope }: Pick<FormSource, 'size' | 'rope'>, acceptEncoding?: string): Coding | undefined {
    if (size === undefined || !this.#isLongEnough(size)) return undefined
    return preferred(acceptEncoding)[rope ? 'ofRope' : 'ofBytes']
  }

  /**
   * Returns the best form of a whole entry that a client accepts. undefined: there is none, or it is being made; the plain
   * bytes are to be sent then, so that no request waits.
   */
  of(entry: Entry, acceptEncoding: string | undefined): CompressedForm | undefined {
    const coding = this.#codingOf(entry, acceptEncoding)
    if (!coding) return undefined
    const form = this.#find(entry, coding)
    if (!form && this.#making.size === 0) void this.#make(formOfEntry(entry), coding)
    return form
  }

  /** Resolves with the best form that a client accepts, when it is ready; undefined: there is none. */
  async made(source: FormSource, acceptEncoding: string | undefined): Promise<CompressedForm | undefined> {
    const { key } = source
    const coding = this.#codingOf(source, acceptEncoding)
    if (!coding) return undefined
    for (;;) {
      const form = this.#find(key, coding)
      if (form || this.#isTooLarge(key)) return form
      const making = this.#making.get(key)
      if (!making) return this.#make(source, coding)
      await making
    }
  }

  #make(source: FormSource, coding: Coding): Promise<CompressedForm | undefined> {
    const { key } = source
    if (this.#isTooLarge(key)) return Promise.resolve(undefined)
    const form = this.#last.then(() => this.#compress(source, coding)).finally(() => this.#making.delete(key))
    this.#making.set(key, form)
    this.#last = form
    return form
  }

  /** Resolves with undefined if the bytes cannot be read: who follows them receives the error. */
  async #compress(source: FormSource, coding: Coding): Promise<CompressedForm | undefined> {
    const { key } = source
    const form = await this.#formOf(source, coding).catch(() => undefined)
    if (!form) return undefined
    if (form.length < this.#options.maxBytes) {
      this.#keep(key, form)
      return form
    }
    if (typeof key === 'string') this.#tooLargeDigests.set(key, true)
    else this.#tooLarge.add(key)
    return undefined
  }

  #isTooLarge(key: Entry | string): boolean {
    return typeof key === 'string' ? this.#tooLargeDigests.has(key) : this.#tooLarge.has(key)
  }

  async #formOf(source: FormSource, coding: Coding): Promise<CompressedForm> {
    const { rope } = source
    const chunks =
      rope && coding.name === 'gzip' ? await this.#pieces.gzip(rope) : await compress(source, coding)
    return { coding: coding.name, chunks, length: chunks.reduce((sum, { length }) => sum + length, 0) }
  }
}

async function compress(source: FormSource, coding: Coding): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  await pipeline(source.read(), coding.create(), async (compressed: AsyncIterable<Buffer>) => {
    // Copies, because a chunk is a view of a buffer of chunkSize.
    for await (const chunk of compressed) chunks.push(Buffer.from(chunk))
  })
  return chunks
}

/** The best codings that a client accepts. */
interface Preference {
  readonly ofBytes: Coding | undefined
  /** gzip, if it is accepted: only that is made of pieces that versions share. */
  readonly ofRope: Coding | undefined
}

/** There are few different headers: one for each kind of client. */
const preferences = new LRUCache<string, Preference>({ max: 100, memoMethod: findPreferred })

/** Returns the best codings that an Accept-Encoding header allows (RFC 9110, section 12.5.3). */
const preferred = (header = ''): Preference => preferences.memo(header)

function findPreferred(header: string): Preference {
  const weights = new Map<string, number>()
  for (const item of header.toLowerCase().split(',')) {
    const [, name, weight] = /^\s*([^\s;]+)\s*(?:;\s*q=([\d.]+)\s*)?$/.exec(item) ?? []
    if (name !== undefined) weights.set(name, Number(weight ?? 1))
  }
  const accepted = codings.filter(({ name }) => (weights.get(name) ?? weights.get('*') ?? 0) > 0)
  return { ofBytes: accepted[0], ofRope: accepted.find(({ name }) => name === 'gzip') ?? accepted[0] }
}
