import type { FileHandle } from 'node:fs/promises'
import type { CandidateNames } from './candidate-names.js'
import { FullNeeded } from './full-reason.js'
import type { Pace } from './pace.js'
import { PackedRefsReader, windowSize } from './packed-refs-reader.js'

const newline = 0x0a
const caret = 0x5e

/**
 * Adds the names that two versions of packed-refs have with different objects, or one of them alone. Both are read once,
 * side by side; what is equal in both is compared as bytes and not parsed.
 *
 * A ref is passed over only together with one of the other version that has the same name, object and peeled object: so
 * what is not added has not changed, in whatever order the refs are.
 *
 * @param before undefined: the file did not exist, which means the same as an empty one; `now` likewise
 * @param size bytes of each file that are held at once
 * @throws FullNeeded if a file is malformed or not sorted, or there are too many changes; the system's error
 */
export async function addPackedChanges(
  candidates: CandidateNames,
  before: FileHandle | undefined,
  now: FileHandle | undefined,
  pace: Pace,
  size: number = windowSize,
): Promise<void> {
  const one = new PackedRefsReader(before, size)
  const other = new PackedRefsReader(now, size)
  const headers = [await one.takeHeader(), await other.takeHeader()].filter((header) => header !== undefined)
  // What the other traits say decides how a missing peeled object is meant.
  if (new Set(headers).size > 1) throw new FullNeeded('packed-refs')
  for (;;) {
    await one.prepare()
    await other.prepare()
    if (pace.isDue) await pace.rest()
    if (skipEqual(one, other)) continue
    const [left, right] = [one.peek(), other.peek()]
    if (!left && !right) return
    const order = !left ? 1 : !right ? -1 : left.name.compare(right.name)
    if (order !== 0 || !left!.bytes.equals(right!.bytes))
      candidates.add((order <= 0 ? left! : right!).name.toString('latin1'))
    if (order <= 0) one.take(left!)
    if (order >= 0) other.take(right!)
  }
}

/** Skips the refs at the beginning of both that are certainly equal: those that are followed by the first line of a ref. */
function skipEqual(one: PackedRefsReader, other: PackedRefsReader): boolean {
  const { bytes } = one
  const length = commonLength(bytes, other.bytes)
  let start = length
  do start = start < 2 ? 0 : bytes.lastIndexOf(newline, start - 2) + 1
  while (start > 0 && bytes[start] === caret)
  one.skip(start)
  other.skip(start)
  return start > 0
}

/** Returns how many bytes at the beginning of both are equal. */
function commonLength(one: Buffer, other: Buffer): number {
  const isEqual = (from: number, to: number): boolean => one.compare(other, from, to, from, to) === 0
  const end = Math.min(one.length, other.length)
  let [equal, size] = [0, 64]
  while (equal < end && isEqual(equal, Math.min(end, equal + size))) {
    equal = Math.min(end, equal + size)
    size *= 2
  }
  // The first difference is among the next `size` bytes, if there is one.
  for (; size > 1; size /= 2) {
    const half = Math.min(end, equal + size / 2)
    if (isEqual(equal, half)) equal = half
  }
  return equal
}
