import { packetLength } from '../pkt-line.js'

/** `<oid or unborn> <name>[ symref-target:<name>][ peeled:<oid>]` (gitprotocol-v2(5), "ls-refs"); names as Latin-1. */
const form =
  /^(?:[0-9a-f]{40}|[0-9a-f]{64}|unborn) [^\0-\x20\x7f]+(?: symref-target:[^\0-\x20\x7f]+)?(?: peeled:(?:[0-9a-f]{40}|[0-9a-f]{64}))?\n$/

const space = 0x20

/** Reads the lines of a whole answer to ls-refs one after another. What follows `name` etc. is about the line that was read. */
export class AnswerReader {
  readonly bytes: Buffer
  /** Offset behind what was read: where the next line begins, or the flush packet. */
  at = 0
  /** Where the line that was read begins, and ends. */
  start = 0
  end = 0
  /** From a line's start to its ref's name; 0: no line has told yet. */
  nameAt: number
  name: Buffer = Buffer.alloc(0)

  /** @throws unless the bytes end in a flush packet */
  constructor(bytes: Buffer, nameAt: number) {
    this.bytes = bytes
    this.nameAt = nameAt
    if (bytes.toString('latin1', bytes.length - 4) !== '0000')
      throw malformed('it does not end in a flush packet')
  }

  /** Has everything been read up to the flush packet? */
  get ended(): boolean {
    return this.at === this.bytes.length - 4
  }

  /** Reads the next line, and leaves `at` where it begins: see `take`. @returns false: there is none @throws if it is malformed */
  peek(): boolean {
    if (this.start === this.at && this.end > this.at) return true
    if (this.ended) return false
    const size = packetLength(this.bytes, this.at)
    const end = this.at + size
    if (!(size > 4) || end > this.bytes.length - 4) throw malformed(`there is no line at byte ${this.at}`)
    const text = this.bytes.toString('latin1', this.at + 4, end)
    if (!form.test(text)) throw malformed(`its line at byte ${this.at} is not that of a ref`)
    const idLength = text.indexOf(' ')
    if (idLength >= 40) {
      if (this.nameAt === 0) this.nameAt = 4 + idLength + 1
      if (this.nameAt !== 4 + idLength + 1)
        throw malformed(`its object id at byte ${this.at} has another length`)
    } else if (!text.startsWith('unborn HEAD '))
      throw malformed(`an unborn ref at byte ${this.at} is not HEAD`)
    const nameStart = this.at + 4 + idLength + 1
    this.name = nameIn(this.bytes, nameStart, end)
    this.start = this.at
    this.end = end
    return true
  }

  /** Goes on behind the line that was read. */
  take(): void {
    this.at = this.end
  }

  /** Goes on behind bytes that are known to be whole lines. */
  skip(length: number): void {
    this.at += length
  }

  /** Does the answer go on with these bytes? */
  goesOnWith(bytes: Buffer, start: number, end: number): boolean {
    const to = this.at + end - start
    return to <= this.bytes.length - 4 && this.bytes.compare(bytes, start, end, this.at, to) === 0
  }
}

/** Returns the name that begins at an offset of a line, which ends at `lineEnd`. */
export function nameIn(bytes: Buffer, at: number, lineEnd: number): Buffer {
  const end = bytes.indexOf(space, at)
  return bytes.subarray(at, end < 0 || end >= lineEnd ? lineEnd - 1 : end)
}

export const malformed = (what: string): Error =>
  new Error(`git upload-pack: its answer is malformed: ${what}`)
