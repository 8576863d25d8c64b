import { AnswerReader, malformed, nameIn } from './answer-reader.js'
import type { Lines } from './block.js'
import type { Spine } from './spine.js'
import type { Steps } from './steps.js'

/** Lines of a listing, from number `start` up to `end`, in whose place come the bytes of an answer from `from` up to `to`. */
export interface Change {
  readonly start: number
  readonly end: number
  readonly from: number
  readonly to: number
}

/** How a listing differs from what an answer says. */
export interface Changes {
  readonly head: Change | undefined
  /** In order; between two of them stand lines that stay. */
  readonly others: readonly Change[]
  /** Of the new listing, see Spine. */
  readonly nameAt: number
}

/**
 * Finds the lines that an answer changes in a listing: two sequences of names in order are walked side by side, and bytes
 * that are equal are passed many lines at a time.
 * @param prefixes canonical; every ref that begins with one of them is in the answer
 * @throws if the answer is malformed, has another ref, or is not in order
 */
export function* changesOf(
  spine: Spine,
  headFirst: boolean,
  prefixes: readonly string[],
  answer: Buffer,
): Steps<Changes> {
  requireCanonical(prefixes)
  const walk = new Walk(spine, new AnswerReader(answer, spine.nameAt))
  const head = walk.head(
    headFirst,
    prefixes.some((prefix) => 'HEAD'.startsWith(prefix)),
  )
  let line = headFirst ? 1 : 0
  for (const prefix of prefixes) {
    const bytes = Buffer.from(prefix, 'latin1')
    const range = spine.range(bytes, line)
    yield* walk.range(range.start, range.end, bytes)
    line = range.end
  }
  return { head, others: walk.changes, nameAt: walk.end() }
}

function requireCanonical(prefixes: readonly string[]): void {
  for (let index = 1; index < prefixes.length; index++) {
    const [last, prefix] = [prefixes[index - 1] as string, prefixes[index] as string]
    if (prefix <= last || prefix.startsWith(last))
      throw new Error('the prefixes of a splice are not canonical')
  }
}

class Walk {
  readonly changes: Change[] = []
  readonly #spine: Spine
  readonly #answer: AnswerReader
  /** The last name of the answer. */
  #last: Buffer | undefined
  /** Lines that are compared at once: more after each time that they were equal, fewer after each time they were not. */
  #stride = 16

  constructor(spine: Spine, answer: AnswerReader) {
    this.#spine = spine
    this.#answer = answer
  }

  /** Compares HEAD's lines, the first ones on both sides. */
  head(headFirst: boolean, covered: boolean): Change | undefined {
    const answer = this.#answer
    const end = headFirst ? 1 : 0
    if (!covered) return undefined
    if (!answer.peek() || !answer.name.equals(headName)) {
      return headFirst ? { start: 0, end, from: 0, to: 0 } : undefined
    }
    this.#last = answer.name
    const first = this.#spine.blocks[0]
    const size = headFirst && first ? (first.lines[1] as number) : 0
    const isSame = answer.end === size && answer.goesOnWith((first as Lines).bytes, 0, size)
    answer.take()
    return isSame ? undefined : { start: 0, end, from: 0, to: answer.end }
  }

  /** Compares all lines of names that begin with a prefix, in the listing those from number `line` up to `end`. */
  *range(line: number, end: number, prefix: Buffer): Steps<void> {
    const answer = this.#answer
    for (;;) {
      const passed = this.#pass(line, end)
      if (passed > 0) {
        line += passed
        yield
        continue
      }
      if (!answer.peek() || !startsWith(answer.name, prefix)) break
      if (this.#last && this.#last.compare(answer.name) >= 0) throw malformed('its refs are not in order')
      const order = line < end ? answer.name.compare(this.#nameOf(line)) : -1
      if (order <= 0) {
        this.#last = answer.name
        this.#change(line, order === 0 ? line + 1 : line, answer.end)
        answer.take()
      } else this.#change(line, line + 1, answer.at)
      if (order >= 0) line++
      yield
    }
    if (line < end) this.#change(line, end, answer.at)
  }

  /** Passes lines that are equal in listing and answer. @returns their number */
  #pass(line: number, end: number): number {
    if (line >= end) return 0
    const index = this.#spine.indexOf(line)
    const { bytes, lines, count } = this.#spine.blockAt(index)
    const inBlock = line - this.#spine.firstLineOf(index)
    for (let number = Math.min(this.#stride, end - line, count - inBlock); number > 0; number >>= 2) {
      const [from, to] = [lines[inBlock] as number, lines[inBlock + number] as number]
      if (!this.#answer.goesOnWith(bytes, from, to)) continue
      this.#answer.skip(to - from)
      this.#last = this.#nameOf(line + number - 1)
      this.#stride = number * 4
      return number
    }
    this.#stride = 1
    return 0
  }

  #nameOf(line: number): Buffer {
    const index = this.#spine.indexOf(line)
    const { bytes, lines } = this.#spine.blockAt(index)
    const inBlock = line - this.#spine.firstLineOf(index)
    return nameIn(bytes, (lines[inBlock] as number) + this.#spine.nameAt, lines[inBlock + 1] as number)
  }

  /** Adds a change up to an offset of the answer. Two between which no line stays become one. */
  #change(start: number, end: number, to: number): void {
    const from = this.#answer.at
    const last = this.changes.at(-1)
    if (last?.end === start && last.to === from) {
      this.changes[this.changes.length - 1] = { ...last, end, to }
    } else this.changes.push({ start, end, from, to })
  }

  /** Returns `nameAt`. @throws if lines of the answer are left */
  end(): number {
    if (this.#answer.peek()) {
      const name = this.#answer.name.toString('latin1')
      throw malformed(`${name} is out of order or was not asked for`)
    }
    return this.#answer.nameAt
  }
}

const headName = Buffer.from('HEAD')

const startsWith = (bytes: Buffer, beginning: Buffer): boolean =>
  bytes.compare(beginning, 0, beginning.length, 0, Math.min(beginning.length, bytes.length)) === 0
