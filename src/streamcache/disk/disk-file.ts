import { constants, rmSync, type BigIntStats } from 'node:fs'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { DiskWatch } from './disk-watch.js'
import { allocate } from '../memory.js'

/** Proof that a file is not, or no longer, what was committed. */
export class Damage extends Error {
  override readonly name = 'Damage'
}

/**
 * Is this error proof that a committed file is worth nothing? What the system says of itself is none: EMFILE and ENFILE
 * (no descriptors left), ENOMEM, EACCES, EPERM and EROFS (somebody changed rights or mounts), EIO (the bytes may be
 * there, and read the next time), ENOTDIR and ELOOP (the way to the file has changed), a disk that does not answer.
 * Then the file must not answer now, and must not be deleted. ENOENT is proof: whatever comes back under that name,
 * for one a volume that was mounted again, is found by the next process.
 */
export function isDamage(error: unknown): boolean {
  return error instanceof Damage || (error as NodeJS.ErrnoException).code === 'ENOENT'
}

/**
 * One file of the store, first temporary, then committed. Its handle is open while somebody writes or reads it, so that
 * renaming or unlinking it harms no reader.
 */
export class DiskFile {
  readonly #watch: DiskWatch
  #path: string
  #handle: Promise<FileHandle> | undefined
  /** Size in bytes that the file must have whenever it is opened; known once it is committed. */
  #expectedSize: number | undefined
  /** Which file it is, and when it was last written; known once it was committed or opened by this process. */
  #identity: string | undefined
  /** When anything about the file last changed (ctime): when its bytes were known to be right, and when last seen. */
  #trustedChange: bigint | undefined
  #seenChange: bigint | undefined

  private constructor(path: string, watch: DiskWatch) {
    this.#path = path
    this.#watch = watch
  }

  /** A new file, open for writing and reading. @throws the system's error (ENOSPC, EMFILE, …) */
  static async create(path: string, watch = new DiskWatch()): Promise<DiskFile> {
    const file = new DiskFile(path, watch)
    const handle = await watch.run(
      () => open(path, 'wx+', 0o600),
      (late) => void Promise.allSettled([late.close(), rm(path, { force: true })]),
    )
    file.#handle = Promise.resolve(handle)
    return file
  }

  /** A committed file of that many bytes; it is opened when it is first read. */
  static committed(path: string, size: number, watch = new DiskWatch()): DiskFile {
    const file = new DiskFile(path, watch)
    file.#expectedSize = size
    return file
  }

  async write(buffers: Buffer[], position: number): Promise<void> {
    const handle = await this.open()
    // writev may write less than it was given, on a disk that is nearly full for one.
    let left = buffers
    while (left.length > 0) {
      const [chunks, at] = [left, position]
      const { bytesWritten } = await this.#watch.run(() => handle.writev(chunks, at))
      if (bytesWritten === 0) throw new Error(`cannot write to ${this.#path}`)
      position += bytesWritten
      left = dropBytes(left, bytesWritten)
    }
  }

  /** Exactly that many bytes. @throws Damage if the file has fewer; the system's error */
  async read(position: number, length: number): Promise<Buffer> {
    const handle = await this.open()
    const buffer = allocate(length)
    for (let filled = 0; filled < length;) {
      const [at, left] = [filled, length - filled]
      const { bytesRead } = await this.#watch.run(() => handle.read(buffer, at, left, position + at))
      if (bytesRead === 0) throw new Damage(`${this.#path} is truncated`)
      filled += bytesRead
    }
    return buffer
  }

  /** The file, which must be open, takes its final name, at its final size in bytes. */
  async commit(path: string, size: number): Promise<void> {
    const handle = await this.open()
    await this.#watch.run(async () => {
      await rename(this.#path, path)
      // Also if it comes late: then unlink() must find it.
      this.#path = path
      this.#expectedSize = size
      // The rename has moved ctime, on most filesystems.
      const stats = await handle.stat({ bigint: true })
      this.#identity = identityOf(stats)
      this.#trustedChange = stats.ctimeNs
    })
  }

  async unlink(): Promise<void> {
    await this.#watch.run(() => rm(this.#path, { force: true }))
  }

  /** The same at once, for somebody who promises that it is gone. */
  unlinkNow(): void {
    rmSync(this.#path, { force: true })
  }

  /**
   * Its bytes are about to be checked: if it is not open now, whichever file of the right size has its name is it.
   * @throws as open() does
   */
  async trustAnew(): Promise<void> {
    if (!this.#handle) this.#identity = undefined
    await this.#see()
    this.#trustedChange = this.#seenChange
  }

  /**
   * Opens the file if it is not open. Is it the one that was committed or checked, and has nothing touched it since?
   * Whoever writes to it can put its mtime back, and not its ctime; which a new link or a change of rights moves as
   * well, so false does not mean that its bytes are others.
   * @throws as open() does
   */
  async untouched(): Promise<boolean> {
    await this.#see()
    return this.#seenChange === this.#trustedChange
  }

  async #see(): Promise<void> {
    const held = this.#handle
    const handle = await this.open()
    if (held) this.#seenChange = (await this.#watch.run(() => handle.stat({ bigint: true }))).ctimeNs
  }

  /**
   * Opens the file if it is not open.
   * @throws Damage if it has changed its length, or is another than the one that was committed or opened before, or has
   * been written to since; the system's error, ENOENT if it is gone
   */
  open(): Promise<FileHandle> {
    this.#handle ??= this.#openCommitted().catch((error: unknown) => {
      this.#handle = undefined
      throw error
    })
    return this.#handle
  }

  async #openCommitted(): Promise<FileHandle> {
    const handle = await this.#watch.run(
      // Should a pipe have its name now, nobody waits for its writer.
      () => open(this.#path, constants.O_RDONLY | constants.O_NONBLOCK),
      (late) => void late.close().catch(() => {}),
    )
    try {
      this.#inspect(await this.#watch.run(() => handle.stat({ bigint: true })))
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
    this.#seenChange = stats.ctimeNs
  }

  /** Closes the handle once pending reads and writes are done. It opens again by itself when needed. */
  close(): void {
    const handle = this.#handle
    this.#handle = undefined
    handle?.then((open) => open.close()).catch(() => {})
  }
}

/** Not the device, which may be numbered anew at each mount; nor ctime, of which untouched() tells. */
const identityOf = ({ ino, size, mtimeNs }: BigIntStats): string => `${ino} ${size} ${mtimeNs}`

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  const left = [...buffers]
  while (left[0] && count >= left[0].length) count -= (left.shift() as Buffer).length
  if (left[0]) left[0] = left[0].subarray(count)
  return left
}
