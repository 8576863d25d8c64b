import { closeSync, constants, fstatSync, readSync, rmSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { Damage } from './disk-file.js'
import { DiskWatchdog } from './disk-watchdog.js'
import { openFound } from './open-found.js'
import {
  encodeHeader,
  encodeRecord,
  readRevisions,
  revisionsPath,
  type FoundRecord,
  type RevisionRecord,
} from './revision-record.js'

/** The file of revisions beside a committed body: records are appended, one write each, and never changed. */
export class RevisionLog {
  readonly path: string
  readonly #sha256: string
  readonly #watchdog: DiskWatchdog
  /** Where the last whole record ends; 0: there is no file yet. */
  #end = 0
  #checksum: Buffer | undefined
  #records = 0
  #sound = true
  #removed = false

  /** @param sha256 of the body, in hexadecimal */
  constructor(bodyPath: string, sha256: string, watchdog = new DiskWatchdog()) {
    this.path = revisionsPath(bodyPath)
    this.#sha256 = sha256
    this.#watchdog = watchdog
  }

  /** Where the last whole record ends: the file's size in bytes. */
  get end(): number {
    return this.#end
  }

  get records(): number {
    return this.#records
  }

  /** May records be appended? Not after a write that failed, or behind bytes that are no whole record. */
  get sound(): boolean {
    return this.#sound
  }

  /**
   * Finds what an earlier process left; blocks, as all that reads files before the first request.
   * @returns the last whole record; undefined: there is none
   * @throws the system's error
   */
  find(): RevisionRecord | undefined {
    const handle = openFound(this.path)
    if (handle === undefined) return undefined
    let last: FoundRecord | undefined
    try {
      const stats = fstatSync(handle)
      const size = stats.isFile() ? stats.size : 0
      const reader = readRevisions(size, this.#sha256, (found) => {
        last = found
        this.#records++
      })
      for (let next = reader.next(); !next.done;) {
        const { at, length } = next.value
        const bytes = Buffer.alloc(length)
        next = reader.next(bytes.subarray(0, readSync(handle, bytes, 0, length, at)))
      }
      this.#end = last?.end ?? 0
      this.#checksum = last?.checksum
      this.#sound = size === this.#end
      return last?.record
    } finally {
      closeSync(handle)
    }
  }

  /** Appends a record. @returns its bytes on disk @throws the system's error; then nothing can be appended any more */
  async append(record: RevisionRecord): Promise<number> {
    const header = this.#end === 0 ? encodeHeader(this.#sha256) : undefined
    const next = encodeRecord(record, header?.checksum ?? (this.#checksum as Buffer))
    const buffers = [...(header?.buffers ?? []), ...next.buffers]
    const length = (header?.length ?? 0) + next.length
    try {
      await this.#watchdog.run(() => this.#write(Buffer.concat(buffers)))
    } catch (error) {
      this.#sound = false
      throw error
    }
    this.#end += length
    this.#checksum = next.checksum
    this.#records++
    return length
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#removed) throw new Error(`${this.path} has been removed`)
    const handle = await open(this.path, this.#end === 0 ? 'wx' : 'r+', 0o600)
    try {
      const { size } = await handle.stat()
      if (size !== this.#end) throw new Damage(`${this.path} has ${size} bytes instead of ${this.#end}`)
      const { bytesWritten } = await handle.writev([bytes], size)
      if (bytesWritten < bytes.length) {
        throw new Error(`only ${bytesWritten} of ${bytes.length} bytes could be written to ${this.path}`)
      }
    } finally {
      await handle.close()
    }
  }

  /**
   * Reads the records up to the end of one of them.
   * @param apply called with each
   * @throws Damage if a record is not what was written; the system's error
   */
  async read(end: number, apply: (record: RevisionRecord) => void | Promise<void>): Promise<void> {
    if (end === 0) return
    const found: RevisionRecord[] = []
    let readTo = 0
    const handle = await this.#watchdog.run(
      () => open(this.path, constants.O_RDONLY | constants.O_NONBLOCK),
      (late) => void late.close().catch(() => {}),
    )
    try {
      const reader = readRevisions(end, this.#sha256, (each) => {
        found.push(each.record)
        readTo = each.end
      })
      for (let next = reader.next(); !next.done;) {
        const { at, length } = next.value
        const bytes = Buffer.alloc(length)
        const { bytesRead } = await this.#watchdog.run(() => handle.read(bytes, 0, length, at))
        next = reader.next(bytes.subarray(0, bytesRead))
        for (const record of found.splice(0)) await apply(record)
      }
    } finally {
      await handle.close()
    }
    if (readTo !== end) throw new Damage(`${this.path} is damaged at ${readTo} of ${end} bytes`)
  }

  /** Removes the file; no error if there is none. @throws the system's error */
  async unlink(): Promise<void> {
    this.#removed = true
    await this.#watchdog.run(() => rm(this.path, { force: true }))
  }

  /** The same synchronously. */
  unlinkNow(): void {
    this.#removed = true
    rmSync(this.path, { force: true })
  }
}
