/** Bytes between two looks at the free space of the filesystem, while files grow. */
const lookEvery = 64 * 1024 * 1024

/** Counts the bytes that files which are not committed have on disk, so that these stay within a limit too. */
export class Growth<File extends object> {
  readonly #grown: () => void
  readonly #bytesOf = new Map<File, number>()
  #bytes = 0
  #lookAt = lookEvery

  /** @param grown called from time to time while files grow */
  constructor(grown: () => void) {
    this.#grown = grown
  }

  get bytes(): number {
    return this.#bytes
  }

  add(file: File, bytes: number): void {
    this.#bytesOf.set(file, (this.#bytesOf.get(file) ?? 0) + bytes)
    this.#bytes += bytes
    this.#lookAt -= bytes
    if (this.#lookAt > 0) return
    this.#lookAt = lookEvery
    this.#grown()
  }

  /** Forgets a file that was committed, or whose bytes have left the disk. */
  end(file: File): void {
    this.#bytes -= this.#bytesOf.get(file) ?? 0
    this.#bytesOf.delete(file)
  }
}
