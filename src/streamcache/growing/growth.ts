/** Bytes between two looks at the free space of the filesystem, while files grow. */
const lookEvery = 64 * 1024 * 1024

export interface GrowthOptions {
  /** Most bytes of all files on disk, committed or not. */
  readonly maxBytes: number
  /** Has the filesystem too little free space? */
  readonly short: () => boolean
  /** Called from time to time while files grow. */
  readonly grown: () => void
  /** Has committed files give way until they have at most that many bytes, if possible. @returns their bytes then */
  readonly shrinkCommitted: (bytes: number) => number
}

/**
 * Counts the bytes that files which are not committed have on disk, so that these stay within the limit too: files that
 * grow, and files without a name that followers still read.
 */
export class Growth<File extends object> {
  readonly #options: GrowthOptions
  readonly #bytesOf = new Map<File, number>()
  #bytes = 0
  #lookAt = lookEvery

  constructor(options: GrowthOptions) {
    this.#options = options
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Counts that many bytes more of a file, if there is room for them. @returns whether there is */
  grow(file: File, bytes: number): boolean {
    const left = this.#options.maxBytes - this.#bytes - bytes
    if (left < 0 || this.#options.short() || this.#options.shrinkCommitted(left) > left) return false
    this.#add(file, bytes)
    return true
  }

  /** Counts a file that was dropped and is still read, unless it is counted. */
  hold(file: File, bytes: number): void {
    if (!this.#bytesOf.has(file)) this.#add(file, bytes)
  }

  #add(file: File, bytes: number): void {
    this.#bytesOf.set(file, (this.#bytesOf.get(file) ?? 0) + bytes)
    this.#bytes += bytes
    this.#lookAt -= bytes
    if (this.#lookAt > 0) return
    this.#lookAt = lookEvery
    this.#options.grown()
  }

  /** Forgets a file that was committed, or whose bytes have left the disk. */
  end(file: File): void {
    this.#bytes -= this.#bytesOf.get(file) ?? 0
    this.#bytesOf.delete(file)
  }
}
