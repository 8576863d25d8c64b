import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { Damage, type DiskFile } from '../disk/disk-file.js'
import type { RevisionLog } from '../disk/revision-log.js'
import type { RevisionRecord } from '../disk/revision-record.js'
import { Rope } from '../memory/rope.js'
import { mergeSmallChunks, spliceChunks } from './rope-splice.js'

/** Bytes per chunk of what is read back. */
const chunkSize = 64 * 1024
/** Records that are applied in one iteration of the event loop, and after which small chunks are merged. */
const appliedAtOnce = 8

/** A committed body, the base, and where it is. */
export interface StoredBase {
  readonly path: string
  /** In bytes. */
  readonly length: number
  /** In hexadecimal. */
  readonly sha256: string
  /** Bytes of its metadata file. */
  readonly metadataLength: number
}

/** What a stored rope needs of the directory; a CacheDirectory is one. */
export interface StoredFiles {
  /** Returns a committed body of that many bytes. */
  body(path: string, length: number): DiskFile
  /** Returns the revisions of a body. */
  revisions(path: string, sha256: string): RevisionLog
}

/** A rope on disk: the base, and the records that lead from it to the last version. */
export class StoredRope {
  readonly base: StoredBase
  readonly log: RevisionLog
  readonly #files: StoredFiles
  readonly #body: DiskFile
  /** What must end before the files may be removed. */
  readonly #users = new Set<Promise<void>>()

  constructor(base: StoredBase, files: StoredFiles, log = files.revisions(base.path, base.sha256)) {
    this.base = base
    this.log = log
    this.#files = files
    this.#body = files.body(base.path, base.length)
  }

  /** Bytes on disk. */
  get size(): number {
    return this.base.length + this.base.metadataLength + this.log.end
  }

  /** Has the files stay until this has ended. */
  use<T>(work: Promise<T>): Promise<T> {
    const ended = work.then(() => {}).catch(() => {})
    this.#users.add(ended)
    void ended.then(() => this.#users.delete(ended))
    return work
  }

  /**
   * Reads the last version, and compares all bytes with their checksums.
   * @throws Damage; the system's error
   */
  read(): Promise<Rope> {
    return this.use(this.#read(this.log.end))
  }

  async #read(end: number): Promise<Rope> {
    let chunks = await this.#readBase()
    let records = 0
    await this.log.read(end, async (record) => {
      chunks = apply(chunks, record)
      if (++records % appliedAtOnce > 0) return
      chunks = mergeSmallChunks(chunks)
      await yieldToEventLoop()
    })
    return new Rope(records > 0 ? mergeSmallChunks(chunks) : chunks)
  }

  async #readBase(): Promise<Buffer[]> {
    const { path, length, sha256 } = this.base
    const body = this.#files.body(path, length)
    const chunks: Buffer[] = []
    const hash = createHash('sha256')
    try {
      for (let at = 0; at < length; at += chunkSize) {
        const chunk = await body.read(at, Math.min(chunkSize, length - at))
        hash.update(chunk)
        chunks.push(chunk)
      }
    } finally {
      body.close()
    }
    if (hash.digest('hex') !== sha256) throw new Damage(`${path} does not match its SHA-256`)
    return chunks
  }

  /** Removes the files: the body first, without which the others count as nothing. @throws the system's error */
  async unlink(): Promise<void> {
    while (this.#users.size > 0) await Promise.all(this.#users)
    await this.#body.unlink()
    await this.log.unlink()
  }

  /** The same synchronously, and without regard to what uses them. */
  unlinkNow(): void {
    this.#body.unlinkNow()
    this.log.unlinkNow()
  }
}

/** @throws Damage if the record does not lead to a version of its length */
function apply(chunks: readonly Buffer[], { splices, length }: RevisionRecord): Buffer[] {
  let result: Buffer[]
  try {
    result = spliceChunks(chunks, splices)
  } catch (cause) {
    throw new Damage('a revision does not fit the version before', { cause })
  }
  const bytes = result.reduce((sum, chunk) => sum + chunk.length, 0)
  if (bytes !== length) throw new Damage(`a revision has ${bytes} bytes instead of ${length}`)
  return result
}
