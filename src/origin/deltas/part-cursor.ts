/** Bytes that are compared at once. */
const stride = 4096

/** A place in bytes that stand in several parts. */
export class PartCursor {
  readonly #parts: readonly Buffer[]
  #index = 0
  /** In the part. */
  #at = 0
  #offset = 0

  constructor(parts: Iterable<Buffer>) {
    this.#parts = [...parts].filter(({ length }) => length > 0)
  }

  /** Bytes before it. */
  get offset(): number {
    return this.#offset
  }

  get isAtEnd(): boolean {
    return this.#index === this.#parts.length
  }

  /** Goes on by so many bytes, or to the end. */
  skip(bytes: number): void {
    for (let left = bytes; left > 0 && !this.isAtEnd;) {
      const part = this.#parts[this.#index] as Buffer
      const count = Math.min(left, part.length - this.#at)
      left -= count
      this.#at += count
      this.#offset += count
      if (this.#at < part.length) continue
      this.#index++
      this.#at = 0
    }
  }

  /** Returns views of so many bytes from here, or of all that are left, and goes on behind them. */
  take(bytes: number): Buffer[] {
    const views: Buffer[] = []
    for (let left = bytes; left > 0 && !this.isAtEnd;) {
      const view = (this.#parts[this.#index] as Buffer).subarray(this.#at, this.#at + left)
      views.push(view)
      left -= view.length
      this.skip(view.length)
    }
    return views
  }

  /** Returns so many bytes from here as one buffer, or all that are left. */
  window(bytes: number): Buffer {
    const views: Buffer[] = []
    let at = this.#at
    for (let [index, left] = [this.#index, bytes]; left > 0 && index < this.#parts.length; index++, at = 0) {
      const view = (this.#parts[index] as Buffer).subarray(at, at + left)
      views.push(view)
      left -= view.length
    }
    return views.length === 1 ? (views[0] as Buffer) : Buffer.concat(views)
  }

  /**
   * Passes bytes that are equal here and there, in both, as far as both stand in one part. Two views of the same memory are
   * equal without being compared.
   * @param most bytes that are compared at most
   * @returns the number of bytes that were passed, of those that were compared, and whether the next ones differ
   */
  passEqual(other: PartCursor, most: number): { passed: number; compared: number; differs: boolean } {
    const [mine, its] = [this.#parts[this.#index] as Buffer, other.#parts[other.#index] as Buffer]
    const [at, itsAt] = [this.#at, other.#at]
    const both = Math.min(mine.length - at, its.length - itsAt)
    const isShared = mine.buffer === its.buffer && mine.byteOffset + at === its.byteOffset + itsAt
    const count = isShared ? both : Math.min(both, most)
    const passed = isShared ? both : equalBytes(mine, at, its, itsAt, count)
    this.skip(passed)
    other.skip(passed)
    return { passed, compared: isShared ? 0 : passed, differs: passed < count }
  }
}

function equalBytes(a: Buffer, atA: number, b: Buffer, atB: number, most: number): number {
  let count = 0
  while (count < most) {
    const size = Math.min(stride, most - count)
    const [fromA, fromB] = [atA + count, atB + count]
    if (a.compare(b, fromB, fromB + size, fromA, fromA + size) !== 0) break
    count += size
  }
  while (count < most && a[atA + count] === b[atB + count]) count++
  return count
}
