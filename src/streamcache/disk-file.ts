import { open, rename, rm, type FileHandle } from 'node:fs/promises'

/**
 * One file of the store, first temporary, then committed. Its handle is open while somebody writes or reads it, so that
 * renaming or unlinking it harms no reader.
 */
export class DiskFile {
  #path: string
  #handle: Promise<FileHandle> | undefined
  /** Size in bytes that the file must have whenever it is opened; known once it is committed. */
  #expectedSize: number | undefined

  private constructor(path: string) {
    this.#path = path
  }

  /** A new file, open for writing and reading. @throws the system's error (ENOSPC, EMFILE, …) */
  static async create(path: string): Promise<DiskFile> {
    const file = new DiskFile(path)
    const handle = await open(path, 'wx+', 0o600)
    file.#handle = Promise.resolve(handle)
    return file
  }

  /** A committed file of that many bytes; it is opened when it is first read. */
  static committed(path: string, size: number): DiskFile {
    const file = new DiskFile(path)
    file.#expectedSize = size
    return file
  }

  async write(buffers: Buffer[], position: number): Promise<void> {
    const handle = await this.open()
    // writev may write less than it was given, on a disk that is nearly full for one.
    let left = buffers
    while (left.length > 0) {
      const { bytesWritten } = await handle.writev(left, position)
      if (bytesWritten === 0) throw new Error(`cannot write to ${this.#path}`)
      position += bytesWritten
      left = dropBytes(left, bytesWritten)
    }
  }

  /** Exactly that many bytes. @throws if the file has fewer */
  async read(position: number, length: number): Promise<Buffer> {
    const handle = await this.open()
    const buffer = Buffer.allocUnsafeSlow(length)
    for (let filled = 0; filled < length;) {
      const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled)
      if (bytesRead === 0) throw new Error(`${this.#path} is truncated`)
      filled += bytesRead
    }
    return buffer
  }

  /** The file takes its final name, at its final size in bytes. */
  async commit(path: string, size: number): Promise<void> {
    await rename(this.#path, path)
    this.#path = path
    this.#expectedSize = size
  }

  async unlink(): Promise<void> {
    await rm(this.#path, { force: true })
  }

  /** Opens the file if it is not open. @throws if it is gone or has changed its length */
  open(): Promise<FileHandle> {
    this.#handle ??= this.#openCommitted().catch((error: unknown) => {
      this.#handle = undefined
      throw error
    })
    return this.#handle
  }

  async #openCommitted(): Promise<FileHandle> {
    const handle = await open(this.#path, 'r')
    const { size } = await handle.stat()
    if (size === this.#expectedSize) return handle
    await handle.close()
    throw new Error(`${this.#path} has ${size} bytes instead of ${this.#expectedSize}`)
  }

  /** Closes the handle once pending reads and writes are done. It opens again by itself when needed. */
  close(): void {
    const handle = this.#handle
    this.#handle = undefined
    handle?.then((open) => open.close()).catch(() => {})
  }
}

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  const left = [...buffers]
  while (left[0] && count >= left[0].length) count -= (left.shift() as Buffer).length
  if (left[0]) left[0] = left[0].subarray(count)
  return left
}
