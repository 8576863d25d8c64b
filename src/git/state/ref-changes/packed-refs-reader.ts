import type { FileHandle } from 'node:fs/promises'
import { FullNeeded } from './full-reason.js'

const newline = 0x0a
const space = 0x20
const caret = 0x5e

/** Bytes of a file that are held at once. */
export const windowSize = 256 * 1024

/** A ref in packed-refs, with the line of its peeled object if it has one (gitrepository-layout(5), "packed-refs"). */
export interface PackedEntry {
  /** A view, valid until the reader reads on. */
  readonly name: Buffer
  /** Both lines. */
  readonly bytes: Buffer
}

/** Reads a packed-refs file from its beginning, through a window of limited size. */
export class PackedRefsReader {
  readonly #file: FileHandle | undefined
  readonly #window: Buffer
  #start = 0
  #end = 0
  #position = 0
  #ended: boolean
  #lastName: Buffer | undefined

  /** @param file undefined: it does not exist, which means the same as an empty one */
  constructor(file: FileHandle | undefined, size = windowSize) {
    this.#file = file
    this.#window = file ? Buffer.allocUnsafe(size) : Buffer.alloc(0)
    this.#ended = !file
  }

  /** What has been read and not been skipped. */
  get bytes(): Buffer {
    return this.#window.subarray(this.#start, this.#end)
  }

  skip(count: number): void {
    this.#start += count
  }

  /**
   * Takes the header, without which refs may be in any order. Returns its text; undefined: the file is empty.
   * @throws FullNeeded if it does not say that refs are sorted
   */
  async takeHeader(): Promise<string | undefined> {
    await this.#readOn()
    const { bytes } = this
    if (bytes.length === 0) return undefined
    const end = bytes.indexOf(newline)
    const header = bytes.toString('latin1', 0, Math.max(0, end))
    const [mark, traits = ''] = header.split(':')
    if (mark !== '# pack-refs with' || !traits.split(' ').includes('sorted'))
      throw new FullNeeded('packed-refs')
    this.skip(end + 1)
    return header
  }

  /** Has at least a quarter of the window read, a whole ref, or all that is left. @throws FullNeeded, the system's error */
  async prepare(): Promise<void> {
    if (!this.#ended && this.#end - this.#start < this.#window.length / 4) await this.#readOn()
    if (this.#isCut) await this.#readOn()
    // A line is longer than the window.
    if (this.#isCut) throw new FullNeeded('packed-refs')
  }

  /** Has the end of the next ref not been read? */
  get #isCut(): boolean {
    return !this.#ended && this.#length() === undefined
  }

  /** Returns the next ref; undefined: there is none. `prepare` must have been called. @throws FullNeeded */
  peek(): PackedEntry | undefined {
    if (this.#start === this.#end) return undefined
    const { bytes } = this
    const length = this.#length()
    const lineEnd = bytes.indexOf(newline)
    const idEnd = bytes.indexOf(space)
    const isWhole = length !== undefined && (idEnd === 40 || idEnd === 64) && lineEnd > idEnd + 1
    if (!isWhole) throw new FullNeeded('packed-refs')
    return { name: bytes.subarray(idEnd + 1, lineEnd), bytes: bytes.subarray(0, length) }
  }

  /** Skips a ref that `peek` has returned. @throws FullNeeded if it is not behind the one that was taken before */
  take({ name, bytes }: PackedEntry): void {
    if (this.#lastName && this.#lastName.compare(name) >= 0) throw new FullNeeded('packed-refs')
    this.#lastName = Buffer.from(name)
    this.skip(bytes.length)
  }

  /** Returns the length of the next ref; undefined: its end has not been read. */
  #length(): number | undefined {
    const { bytes } = this
    let end = bytes.indexOf(newline) + 1
    if (end > 0 && bytes[end] === caret) end = bytes.indexOf(newline, end) + 1
    return end > 0 && (end < bytes.length || this.#ended) ? end : undefined
  }

  /** Reads until the window is full or the file ends. */
  async #readOn(): Promise<void> {
    this.#window.copyWithin(0, this.#start, this.#end)
    this.#end -= this.#start
    this.#start = 0
    while (!this.#ended && this.#end < this.#window.length) {
      const length = this.#window.length - this.#end
      const { bytesRead } = await this.#file!.read(this.#window, this.#end, length, this.#position)
      this.#end += bytesRead
      this.#position += bytesRead
      this.#ended = bytesRead === 0
    }
  }
}
