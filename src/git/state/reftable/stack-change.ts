/** New tables at one place of a stack, and the tables that were there before. */
export interface ReplacedTables {
  readonly added: readonly string[]
  readonly gone: readonly string[]
}

/** Update indexes that a table covers. */
export interface UpdateIndexes {
  readonly minUpdateIndex: bigint
  readonly maxUpdateIndex: bigint
}

/**
 * Returns where a stack of tables has changed, if it can have come about by adding tables on top and by compacting tables that
 * follow one another, without the bottom one. undefined: something else has happened.
 */
export function stackChange(
  before: readonly string[],
  now: readonly string[],
): readonly ReplacedTables[] | undefined {
  if (before.length === 0 && now.length === 0) return []
  if (before[0] === undefined || before[0] !== now[0]) return undefined
  if (new Set(before).size !== before.length || new Set(now).size !== now.length) return undefined
  const kept = new Set(before)
  const changes: ReplacedTables[] = []
  let from = 0
  let added: string[] = []
  for (const table of now) {
    if (!kept.has(table)) {
      added.push(table)
      continue
    }
    const at = before.indexOf(table, from)
    if (at < 0) return undefined
    const gone = before.slice(from, at)
    // Tables are added at the top only, and none goes without another one that has its records.
    if ((added.length === 0) !== (gone.length === 0)) return undefined
    if (added.length > 0) changes.push({ added, gone })
    added = []
    from = at + 1
  }
  const gone = before.slice(from)
  if (gone.length > 0 && added.length === 0) return undefined
  if (added.length > 0) changes.push({ added, gone })
  return changes
}

/**
 * Can tables that are gone have been compacted into one of these? Compaction joins two tables at least, so that the new one
 * covers more update indexes than each of them. What gone tables covered is in their names, as Git and JGit write them.
 */
export const isCompacted = (gone: readonly string[], added: readonly UpdateIndexes[]): boolean =>
  gone.every((name) => {
    const indexes = indexesOf(name)
    return indexes !== undefined && added.some((table) => coversMore(table, indexes))
  })

const coversMore = (a: UpdateIndexes, b: UpdateIndexes): boolean =>
  a.minUpdateIndex <= b.minUpdateIndex &&
  a.maxUpdateIndex >= b.maxUpdateIndex &&
  a.maxUpdateIndex - a.minUpdateIndex > b.maxUpdateIndex - b.minUpdateIndex

/** `0x000000000001-0x00000000000a-5f3c2a10.ref`; JGit leaves out `0x`. */
const namePattern = /^(?:0x)?([\da-f]{12,16})-(?:0x)?([\da-f]{12,16})-/

function indexesOf(name: string): UpdateIndexes | undefined {
  const [, min, max] = namePattern.exec(name) ?? []
  if (min === undefined || max === undefined) return undefined
  return { minUpdateIndex: BigInt(`0x${min}`), maxUpdateIndex: BigInt(`0x${max}`) }
}
