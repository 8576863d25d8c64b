import { StreamCache, type Entry, type Fill, type StreamCacheOptions } from '../../src/streamcache/index.js'
import { producerOf } from './producers.js'
import { yes } from './stream-cache.js'

/** A committed file of the lender. */
export interface Lent {
  readonly entry: Entry
  readonly ended: Fill['ended']
  readonly path: string
  readonly sha256: string
}

/** Another process that uses a cache directory: its committed files are adopted, and it removes them when it likes. */
export class Lender {
  readonly #options: StreamCacheOptions
  #cache: Promise<StreamCache> | undefined
  readonly #keys: string[] = []
  #removed = false

  constructor(options: StreamCacheOptions) {
    const { directory } = options
    const ample = { maxBytes: 1 << 30, hotMaxBytes: 1 << 26, maxLeadBytes: 1 << 26 }
    this.#options = { ...options, ...ample, directory, memoryFirst: false, events: {} }
  }

  /** Has it removed any of its files? */
  get hasRemoved(): boolean {
    return this.#removed
  }

  /** Commits these bytes. @returns undefined: the disk has failed */
  async lend(bytes: Buffer): Promise<Lent | undefined> {
    const cache = await (this.#cache ??= StreamCache.open(this.#options))
    const key = `lent ${this.#keys.length}`
    this.#keys.push(key)
    const { entry, ended } = cache.fill(key, 'token', producerOf(bytes), yes)
    if ((await ended) !== 'committed') return undefined
    const { path, sha256 } = entry
    if (path === undefined || sha256 === undefined) throw new Error('a committed entry has no path')
    return { entry, ended, path, sha256 }
  }

  /** Removes one of its entries, of which there may be none. */
  async remove(pick: number): Promise<void> {
    if (this.#keys.length === 0) return
    this.#removed = true
    ;(await this.#cache)?.erase(this.#keys[pick % this.#keys.length]!)
  }

  async close(): Promise<void> {
    await (await this.#cache)?.close()
  }
}
