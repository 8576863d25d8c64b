/** Bytes of a copy, give or take a line: what a client holds that has stopped reading. */
const copyMax = 64 * 1024
/** Bytes of unchanged lines from which on a view is cheaper than a copy. */
const viewMin = 4096

const space = 0x20
const symrefMark = Buffer.from(' symref-target:')
const peeledMark = Buffer.from(' peeled:')
const digits = Buffer.from('0123456789abcdef')

/** Whole pkt-lines of a listing, each with a ref and a newline at its end. */
export interface RefLines {
  readonly bytes: Buffer
  /** Offsets in `bytes` of the lines, and of the end of the last. */
  readonly lines: Uint32Array
  /** From a line's start to its ref's name. */
  readonly nameAt: number
}

/** Which attributes stay in the lines (gitprotocol-v2(5), "ls-refs"). */
export interface KeptAttributes {
  readonly peel: boolean
  readonly symrefs: boolean
}

/**
 * Yields the lines from number `from` up to, but without, `to`, with unwanted attributes cut out. Runs of lines without
 * such attributes are views, if they are at least `viewMin` bytes long; the rest is copied, `copyMax` bytes at a time.
 */
export function* withoutAttributes(
  { bytes, lines, nameAt }: RefLines,
  from: number,
  to: number,
  { peel, symrefs }: KeptAttributes,
): Generator<Buffer> {
  const unwanted = [...(peel ? [] : [peeledMark]), ...(symrefs ? [] : [symrefMark])]
  const end = lines[to] as number
  const copy = new LineCopy(bytes, unwanted)
  let line = from
  for (let at = lines[from] as number; at < end;) {
    // The next line that must be shortened, and where its first unwanted attribute begins.
    let mark = -1
    for (; line < to; line++) {
      mark = findMark(bytes, nameEnd(bytes, (lines[line] as number) + nameAt), unwanted)
      if (mark >= 0) break
    }
    const start = lines[line] as number
    if (start - at >= viewMin) {
      if (copy.used > 0) yield copy.take()
      yield bytes.subarray(at, start)
      at = start
    }
    const next = line < to ? (lines[line + 1] as number) : end
    if (!copy.hasRoom(next - at)) {
      if (copy.used > 0) yield copy.take()
      copy.begin(Math.max(next - at, Math.min(copyMax, end - at)))
    }
    copy.add(at, start)
    if (line < to) copy.addShortened(start, next, mark)
    line++
    at = next
  }
  if (copy.used > 0) yield copy.take()
}

/** Names and attributes end at a space or at the line's end: they have no control characters (git-check-ref-format(1)). */
function nameEnd(bytes: Buffer, at: number): number {
  while ((bytes[at] as number) > space) at++
  return at
}

/** Returns where the first unwanted attribute begins, from the end of a name or of an attribute on; -1: there is none. */
function findMark(bytes: Buffer, at: number, unwanted: readonly Buffer[]): number {
  while (bytes[at] === space) {
    for (const mark of unwanted) if (isAt(mark, bytes, at)) return at
    at = nameEnd(bytes, at + 1)
  }
  return -1
}

function isAt(mark: Buffer, bytes: Buffer, at: number): boolean {
  for (let index = 0; index < mark.length; index++) if (bytes[at + index] !== mark[index]) return false
  return true
}

/** Bytes of a listing that are copied for one client. */
class LineCopy {
  readonly #source: Buffer
  readonly #unwanted: readonly Buffer[]
  #bytes = Buffer.alloc(0)
  #used = 0

  constructor(source: Buffer, unwanted: readonly Buffer[]) {
    this.#source = source
    this.#unwanted = unwanted
  }

  get used(): number {
    return this.#used
  }

  hasRoom(length: number): boolean {
    return this.#bytes.length - this.#used >= length
  }

  /** Allocates the next copy. */
  begin(size: number): void {
    this.#bytes = Buffer.allocUnsafe(size)
  }

  /** Returns what has been copied, and drops it. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#used)
    this.#bytes = Buffer.alloc(0)
    this.#used = 0
    return taken
  }

  add(start: number, end: number): void {
    if (start < end) this.#used += this.#source.copy(this.#bytes, this.#used, start, end)
  }

  /** Copies a line without its unwanted attributes, the first of which begins at `mark`. */
  addShortened(start: number, end: number, mark: number): void {
    const head = this.#used
    let at = start
    while (mark >= 0) {
      this.add(at, mark)
      at = nameEnd(this.#source, mark + 1)
      mark = findMark(this.#source, at, this.#unwanted)
    }
    this.add(at, end)
    this.#writeLength(head)
  }

  /** Writes the four digits with which a pkt-line begins. */
  #writeLength(head: number): void {
    const length = this.#used - head
    for (let index = 0; index < 4; index++) {
      this.#bytes[head + index] = digits[(length >> (12 - 4 * index)) & 15] as number
    }
  }
}
