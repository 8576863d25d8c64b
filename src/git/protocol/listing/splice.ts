import { Assembly, largest, linesIn, smallest } from './assembly.js'
import { blockSize, type Lines, type ListingBlock } from './block.js'
import { changesOf, type Change } from './changes.js'
import { Spine } from './spine.js'
import type { Steps } from './steps.js'

/** Bytes of new blocks that are made without a yield. */
const madeAtOnce = 8 * blockSize

/**
 * Makes the next version of a listing: blocks in which no line changes are shared, and new ones stand in the place of the
 * others. Blocks that become small are joined with a neighbour, and those that become large are split, so that a listing
 * stays one of blocks of about 64 KiB however often it is spliced.
 * @param headFirst is the first line HEAD's? It has a block of its own, unless all is one block.
 * @param prefixes canonical; every range of names that begin with one of them gets the lines of the answer
 * @returns the same spine if nothing differs
 * @throws if the answer is malformed, has other refs, or is not in order
 */
export function* splice(
  spine: Spine<ListingBlock>,
  headFirst: boolean,
  prefixes: readonly string[],
  answer: Buffer,
): Steps<Spine<ListingBlock>> {
  const { head, others, nameAt } = yield* changesOf(spine, headFirst, prefixes, answer)
  if (!head && others.length === 0) return spine
  const headLine = new Assembly()
  if (head) headLine.add(linesIn(answer, head.from, head.to))
  else if (headFirst) headLine.add(spine.blockAt(0), 0, 1)
  const changed = new ChangedLines(others, answer, headFirst ? 1 : 0)
  if (spine.blocks.length > 1) {
    const headBlocks = head || !headFirst ? headLine.blocks() : [spine.blockAt(0)]
    return new Spine([...headBlocks, ...(yield* changedBlocks(spine, headFirst ? 1 : 0, changed))], nameAt)
  }
  const rest = new Assembly()
  if (spine.blocks.length > 0) changed.addTo(rest, spine.blockAt(0), 0)
  else changed.addAllTo(rest)
  if (headLine.size + rest.size > largest) return new Spine([...headLine.blocks(), ...rest.blocks()], nameAt)
  headLine.addAll(rest)
  return new Spine(headLine.blocks(), nameAt)
}

/** Returns the blocks from an index on as they are after all changes. */
function* changedBlocks(
  spine: Spine<ListingBlock>,
  start: number,
  changed: ChangedLines,
): Steps<ListingBlock[]> {
  const blocks: ListingBlock[] = []
  let pending = new Assembly()
  for (let index = start; index < spine.blocks.length; index++) {
    const block = spine.blockAt(index)
    const firstLine = spine.firstLineOf(index)
    const stays = !changed.touches(block, firstLine)
    const joins = pending.size > 0 && pending.size < smallest
    if (pending.size >= madeAtOnce || (pending.size > 0 && stays && !joins)) {
      blocks.push(...pending.blocks())
      pending = new Assembly()
      yield
    }
    if (!stays) changed.addTo(pending, block, firstLine)
    else if (joins) pending.add(block)
    else blocks.push(block)
  }
  while (pending.size > 0 && pending.size < smallest && blocks.length > 0) {
    const joined = new Assembly()
    joined.add(blocks.pop() as ListingBlock)
    joined.addAll(pending)
    pending = joined
  }
  return [...blocks, ...pending.blocks()]
}

/** Writes the lines of a listing's blocks with its changes, block after block. */
class ChangedLines {
  readonly #changes: readonly Change[]
  readonly #answer: Buffer
  /** Index of the next change. */
  #next = 0
  /** Number of the first line that is neither written nor removed. */
  #line: number

  constructor(changes: readonly Change[], answer: Buffer, line: number) {
    this.#changes = changes
    this.#answer = answer
    this.#line = line
  }

  /** Does a line of the next block change? Lines between two blocks are added to the first. */
  touches({ count }: Lines, firstLine: number): boolean {
    return this.#line > firstLine || this.#hasChangeUntil(firstLine + count)
  }

  #hasChangeUntil(line: number): boolean {
    const change = this.#changes[this.#next]
    return change !== undefined && (change.start < line || (change.start === line && change.end === line))
  }

  /** Adds the lines of the next block, of which some may have been removed with those of the last one. */
  addTo(assembly: Assembly, block: Lines, firstLine: number): void {
    let line = Math.max(this.#line, firstLine)
    const end = firstLine + block.count
    while (this.#hasChangeUntil(end)) {
      const change = this.#changes[this.#next++] as Change
      assembly.add(block, line - firstLine, change.start - firstLine)
      this.#addNew(assembly, change)
      line = change.end
    }
    assembly.add(block, line - firstLine, block.count)
    this.#line = Math.max(line, end)
  }

  /** Adds the new lines of all changes, of a listing that had no lines. */
  addAllTo(assembly: Assembly): void {
    for (const change of this.#changes) this.#addNew(assembly, change)
  }

  #addNew(assembly: Assembly, { from, to }: Change): void {
    if (from < to) assembly.add(linesIn(this.#answer, from, to))
  }
}
