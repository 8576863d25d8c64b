import { constants, rmSync, type BigIntStats } from 'node:fs'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { allocate } from '../memory/allocate.js'
import { DiskWatchdog } from './disk-watchdog.js'
import { metadataPath } from './metadata.js'

/** Proof that a file is not, or no longer, what was committed. */
export class Damage extends Error {
  override readonly name = 'Damage'
}

/**
 * Does this error prove that a committed file is useless? Errors about the state of the system do not: EMFILE and ENFILE
 * (no descriptors left), ENOMEM, EACCES, EPERM and EROFS (permissions or mounts were changed), EIO (the bytes may be
 * there, and readable the next time), ENOTDIR and ELOOP (the path to the file has changed), a disk that does not answer.
 * After these the file must not be served now, and must not be deleted. ENOENT is proof: a file that comes back under
 * that name, for instance with a volume that is mounted again, is found by the next process.
 */
export function isDamage(error: unknown): boolean {
  return error instanceof Damage || (error as NodeJS.ErrnoException).code === 'ENOENT'
}

/**
 * One entry's body in the store, first temporary, then committed with its metadata beside it. The handle stays open while
 * the body is written or read, so that renaming or unlinking it does not affect readers.
 */
export class DiskFile {
  readonly #watchdog: DiskWatchdog
  /** Does another owner, mostly another process, have it? Then it is never written or removed here. */
  #borrowed = false
  #path: string
  /** The file beside the body; undefined as long as there is none. */
  #metadataPath: string | undefined
  #handle: Promise<FileHandle> | undefined
  /** Size in bytes that the file must have whenever it is opened; known once it is committed. */
  #expectedSize: number | undefined
  /** Which file it is, and its mtime; known once this process has committed or opened it. */
  #identity: string | undefined
  /** The file's ctime in nanoseconds: when its bytes were last known to be right, and when last seen. */
  #trustedCtime: bigint | undefined
  #seenCtime: bigint | undefined

  private constructor(path: string, watchdog: DiskWatchdog) {
    this.#path = path
    this.#watchdog = watchdog
  }

  /** Creates a file, open for writing and reading. @throws the system's error (ENOSPC, EMFILE, …) */
  static async create(path: string, watchdog = new DiskWatchdog()): Promise<DiskFile> {
    const file = new DiskFile(path, watchdog)
    const handle = await watchdog.run(
      () => open(path, 'wx+', 0o600),
      (late) => void Promise.allSettled([late.close(), rm(path, { force: true })]),
    )
    file.#handle = Promise.resolve(handle)
    return file
  }

  /** Returns a committed body of that many bytes; it is opened when it is first read. */
  static committed(path: string, size: number, watchdog = new DiskWatchdog()): DiskFile {
    const file = new DiskFile(path, watchdog)
    file.#metadataPath = metadataPath(path)
    file.#expectedSize = size
    return file
  }

  /** Returns a committed body of that many bytes that another process owns, and may remove at any time. */
  static borrowed(path: string, size: number, watchdog = new DiskWatchdog()): DiskFile {
    const file = DiskFile.committed(path, size, watchdog)
    file.#borrowed = true
    return file
  }

  /** Does another process own it? */
  get borrowed(): boolean {
    return this.#borrowed
  }

  /** From now on another owner removes it. */
  disown(): void {
    this.#borrowed = true
  }

  /** Where it is; undefined as long as it is not committed. */
  get committedPath(): string | undefined {
    return this.#expectedSize === undefined ? undefined : this.#path
  }

  /** Writes all these bytes, from a position on. @throws the system's error */
  async write(buffers: Buffer[], position: number): Promise<void> {
    const handle = await this.open()
    await writeAll(
      (left, at) => this.#watchdog.run(() => handle.writev(left, at)),
      buffers,
      position,
      this.#path,
    )
  }

  /** Reads exactly that many bytes. @throws Damage if the file has fewer; the system's error */
  async read(position: number, length: number): Promise<Buffer> {
    const handle = await this.open()
    const buffer = allocate(length)
    for (let filled = 0; filled < length;) {
      const [at, left] = [filled, length - filled]
      const { bytesRead } = await this.#watchdog.run(() => handle.read(buffer, at, left, position + at))
      if (bytesRead === 0) throw new Damage(`${this.#path} is truncated`)
      filled += bytesRead
    }
    return buffer
  }

  /** Writes the metadata beside a body's final name, which commit() gives to this file next. @throws the system's error */
  async writeMetadata(metadata: Buffer, bodyPath: string): Promise<void> {
    const path = metadataPath(bodyPath)
    // Set before it exists: unlink() must remove it also if it is incomplete, or created late.
    this.#metadataPath = path
    await this.#watchdog.run(async () => {
      const handle = await open(path, 'wx', 0o600)
      try {
        await writeAll((left, at) => handle.writev(left, at), [metadata], 0, path)
      } finally {
        await handle.close()
      }
    })
  }

  /** Renames the file, which must be open, to its final name; from now on it must have this size in bytes. */
  async commit(path: string, size: number): Promise<void> {
    const handle = await this.open()
    await this.#watchdog.run(async () => {
      await rename(this.#path, path)
      // Set also if the operation is overdue: unlink() must find the file.
      this.#path = path
      this.#expectedSize = size
      // On most filesystems the rename has changed ctime.
      const stats = await handle.stat({ bigint: true })
      this.#identity = identityOf(stats)
      this.#trustedCtime = stats.ctimeNs
    })
  }

  /** Removes the body's name, and then its metadata; no error if they are gone already. @throws the system's error */
  async unlink(): Promise<void> {
    if (this.#borrowed) return
    await this.#watchdog.run(async () => {
      // A body without metadata would count as damaged after a crash.
      await rm(this.#path, { force: true })
      if (this.#metadataPath !== undefined) await rm(this.#metadataPath, { force: true })
    })
  }

  /** The same synchronously, for a caller that guarantees that the file is gone. */
  unlinkNow(): void {
    if (this.#borrowed) return
    rmSync(this.#path, { force: true })
    if (this.#metadataPath !== undefined) rmSync(this.#metadataPath, { force: true })
  }

  /**
   * Trusts the file as it is now, for a caller that verifies its bytes next. If it is not open, any file of the right
   * size under its name is accepted.
   * @throws as open() does
   */
  async trustCurrent(): Promise<void> {
    if (!this.#handle) this.#identity = undefined
    await this.#stat()
    this.#trustedCtime = this.#seenCtime
  }

  /**
   * Opens the file if it is not open. Is it the one that was committed or verified, and unchanged since? A program that
   * writes to it can reset its mtime, but not its ctime. A new link or a change of permissions moves ctime as well, so
   * false does not mean that the bytes differ.
   * @throws as open() does
   */
  async isUntouched(): Promise<boolean> {
    await this.#stat()
    return this.#seenCtime === this.#trustedCtime
  }

  async #stat(): Promise<void> {
    const held = this.#handle
    const handle = await this.open()
    if (held) this.#seenCtime = (await this.#watchdog.run(() => handle.stat({ bigint: true }))).ctimeNs
  }

  /**
   * Opens the file if it is not open.
   * @throws Damage if its length differs, if it is not the file that was committed or opened before, or if it has been
   * written to since; the system's error, ENOENT if it is gone
   */
  open(): Promise<FileHandle> {
    this.#handle ??= this.#openCommitted().catch((error: unknown) => {
      this.#handle = undefined
      throw error
    })
    return this.#handle
  }

  async #openCommitted(): Promise<FileHandle> {
    const handle = await this.#watchdog.run(
      // Non-blocking, so that a pipe under this name does not make the open wait for a writer.
      () => open(this.#path, constants.O_RDONLY | constants.O_NONBLOCK),
      (late) => void late.close().catch(() => {}),
    )
    try {
      this.#inspect(await this.#watchdog.run(() => handle.stat({ bigint: true })))
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  #inspect(stats: BigIntStats): void {
    if (Number(stats.size) !== this.#expectedSize) {
      throw new Damage(`${this.#path} has ${stats.size} bytes instead of ${this.#expectedSize}`)
    }
    const identity = identityOf(stats)
    this.#identity ??= identity
    if (this.#identity !== identity) throw new Damage(`${this.#path} has been replaced or written to`)
    this.#seenCtime = stats.ctimeNs
  }

  /**
   * Opens the file and keeps it open until close(), so that it can be read although its name is removed.
   * @returns false: it cannot be opened any more
   */
  async hold(): Promise<boolean> {
    for (;;) {
      const handle = this.open()
      try {
        await handle
      } catch {
        return false
      }
      // It may have been closed meanwhile.
      if (this.#handle === handle) return true
    }
  }

  /** Closes the handle once pending reads and writes have ended. The file is opened again when it is needed. */
  close(): void {
    const handle = this.#handle
    this.#handle = undefined
    handle?.then((open) => open.close()).catch(() => {})
  }
}

/** Without the device, whose number may change at each mount, and without ctime, which isUntouched() compares. */
const identityOf = ({ ino, size, mtimeNs }: BigIntStats): string => `${ino} ${size} ${mtimeNs}`

/** Writes all these bytes: writev(2) may write less than it was given, for instance on a disk that is nearly full. */
async function writeAll(
  writev: (buffers: Buffer[], position: number) => Promise<{ readonly bytesWritten: number }>,
  buffers: Buffer[],
  position: number,
  path: string,
): Promise<void> {
  let left = buffers
  while (left.length > 0) {
    const { bytesWritten } = await writev(left, position)
    if (bytesWritten === 0) throw new Error(`cannot write to ${path}`)
    position += bytesWritten
    left = dropBytes(left, bytesWritten)
  }
}

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  const left = [...buffers]
  while (left[0] && count >= left[0].length) count -= (left.shift() as Buffer).length
  if (left[0]) left[0] = left[0].subarray(count)
  return left
}
