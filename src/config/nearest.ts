/** Returns the known name that is most similar to an unknown one; undefined: none is similar. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  const plain = spelling(given)
  // With more than a third of its letters wrong, it is another word.
  let best = Math.max(1, Math.floor(plain.length / 3))
  let found: string | undefined
  for (const name of names) {
    const distance = editDistance(plain, spelling(name), best)
    if (distance > best || (distance === best && found !== undefined)) continue
    best = distance
    found = name
  }
  return found
}

/** Normalizes a name: `cacheDir`, `cache_dir` and `cache-dir` count as the same. */
const spelling = (name: string): string =>
  name
    .slice(0, 100)
    .replaceAll(/([a-z])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replaceAll(/[_\s.]/g, '-')

/**
 * Returns the edit distance of two words: the least number of insertions, removals, replacements and swaps of adjacent
 * letters (optimal string alignment). A distance above `max` is returned as any number above `max`.
 */
export function editDistance(one: string, other: string, max = Infinity): number {
  if (Math.abs(one.length - other.length) > max) return max + 1
  let before: number[] = []
  let above = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (let row = 1; row <= one.length; row++) {
    const current = [row]
    for (let column = 1; column <= other.length; column++) {
      const same = one[row - 1] === other[column - 1]
      let cost = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + (same ? 0 : 1))
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      if (row > 1 && column > 1 && swapped) cost = Math.min(cost, before[column - 2]! + 1)
      current.push(cost)
    }
    before = above
    above = current
  }
  return above[other.length]!
}
