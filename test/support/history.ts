/**
 * A checker for linearizable reads of registers that change meanwhile. Each register has one writer, which writes one
 * value after the other; a value may be repeated (a branch that is deleted twice is absent twice). All times are in
 * milliseconds of one clock.
 */
export interface Write {
  readonly register: string
  /** undefined: the register is absent from here on. */
  readonly value: string | undefined
  readonly start: number
  readonly end: number
}

export interface Read {
  readonly start: number
  readonly end: number
  /** The value of each register that the read covers; undefined: it was absent. */
  readonly values: ReadonlyMap<string, string | undefined>
}

/** Reads that may be older than linearizable ones. */
export interface Bound {
  /** A read may see what was in place so many milliseconds before it started, whatever other reads have seen. */
  readonly maxAgeMs: number
}

/** What is said of a read that is older than it may be: than its start, or than another read before it. */
export const staleAnswer =
  /stale: version \d+, [\d.]+ ms after version \d+ was in place|went back from version \d+ to \d+/

/**
 * Checks whether there is, for each register, an order of all reads and writes that agrees with their times, in which each
 * read sees the write before it. The result is exact: an empty list means yes. Otherwise it returns violations in words,
 * at most `most` of them and the number of the others. O(n log n) for each register.
 * @throws if two writes of a register overlap, which one writer cannot do
 *
 * With one writer the order of the writes is known: version 0, 1, 2 … A read that sees version v needs that write v
 * started before the read's end and that write v + 1 did not end before the read's start; and a read that started after
 * another had ended must not see an older version. These conditions are sufficient: each read is put right behind its
 * version's write, and no real time contradicts that order (Lamport, "On interprocess communication"). With a bound, the
 * last condition does not apply, and the second one is that write v + 1 did not end before the read's start − bound.
 *
 * It remains to choose, for each read, among the versions that have the value it saw. A greedy choice is sufficient: in
 * order of their starts, each read gets the lowest version that the conditions allow. Suppose that some choice meets all
 * conditions. Then, read by read, the greedy version is not above that choice's: all reads that ended before this one
 * started have their greedy versions, none above the choice's, so the greedy algorithm may take the choice's version too,
 * and takes that or a lower one. So if it finds none, there is none.
 */
export function violations(
  writes: readonly Write[],
  reads: readonly Read[],
  most = 20,
  bound?: Bound,
): string[] {
  const byStart = [...reads].sort((a, b) => a.start - b.start)
  const byEnd = [...byStart.keys()].sort((a, b) => byStart[a]!.end - byStart[b]!.end)
  const found: string[] = []
  let more = 0
  for (const [register, versions] of groupBy(writes, (write) => write.register)) {
    for (const violation of check(register, new Versions(versions), byStart, byEnd, bound)) {
      if (found.length < most) found.push(violation)
      else more++
    }
  }
  return more > 0 ? [...found, `and ${more} more`] : found
}

/**
 * Returns the violations of one register.
 * @param reads in order of their starts
 * @param byEnd their indices, in order of their ends
 */
function* check(
  register: string,
  versions: Versions,
  reads: readonly Read[],
  byEnd: readonly number[],
  bound: Bound | undefined,
): Generator<string> {
  const seen = new Int32Array(reads.length).fill(-1)
  const maxAgeMs = bound?.maxAgeMs ?? 0
  // The newest version that a read has seen that ended before this one started.
  let newest = 0
  let ended = 0
  for (const [index, read] of reads.entries()) {
    for (; reads[byEnd[ended]!]!.end < read.start; ended++) newest = Math.max(newest, seen[byEnd[ended]!]!)
    if (!read.values.has(register)) continue
    const value = read.values.get(register)
    const from = read.start - maxAgeMs
    const version = versions.find(value, Math.max(bound ? 0 : newest, versions.settledAt(from)))
    if (version !== undefined && version <= versions.newestAt(read.end)) seen[index] = version
    else yield `${register}: ${versions.explain(value, { ...read, start: from }, newest)}`
  }
}

/** The values that one register has had, in order. */
class Versions {
  readonly #writes: readonly Write[]
  /** The versions that have a value, ascending. */
  readonly #byValue: Map<string | undefined, number[]>

  constructor(writes: readonly Write[]) {
    for (const [index, write] of writes.slice(1).entries()) {
      if (write.start < writes[index]!.end) throw new Error(`${write.register}: two writes at once`)
    }
    this.#writes = writes
    this.#byValue = groupBy(writes.keys(), (index) => writes[index]!.value)
  }

  /** Returns the version that was certainly written by then: a read that starts later must not see an older one. */
  settledAt(time: number): number {
    return Math.max(0, first(this.#writes, (write) => write.end >= time) - 1)
  }

  /** Returns the newest version that a read can have seen by then; -1: none. */
  newestAt(time: number): number {
    return first(this.#writes, (write) => write.start > time) - 1
  }

  /** Returns the lowest version from there on that has this value. */
  find(value: string | undefined, from: number): number | undefined {
    const versions = this.#byValue.get(value) ?? []
    return versions[first(versions, (version) => version >= from)]
  }

  /** Returns why a read cannot have seen this value. */
  explain(value: string | undefined, { start, end }: Read, newest: number): string {
    const versions = this.#byValue.get(value)
    if (!versions) return `a value that was never written: ${value}`
    const possible = versions.slice(
      0,
      first(versions, (version) => version > this.newestAt(end)),
    )
    const version = possible.at(-1)
    if (version === undefined) return `version ${versions[0]} was read before it was written`
    if (version >= this.settledAt(start)) return `went back from version ${newest} to ${version}`
    const late = (start - this.#writes[version + 1]!.end).toFixed(1)
    return `stale: version ${version}, ${late} ms after version ${version + 1} was in place`
  }
}

function groupBy<T, K>(items: Iterable<T>, key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}

/** Binary search: the index of the first item for which a condition holds, that holds for all later ones; or the length. */
function first<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(items[middle]!)) high = middle
    else low = middle + 1
  }
  return low
}
