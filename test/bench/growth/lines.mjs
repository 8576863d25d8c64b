// Which line a cost should follow as something grows, and from where on it does not.

/** So much more than the line says counts as leaving it: less is noise of one run. */
export const tolerance = 1.5

/**
 * The first of the points [x, cost], in the order of x, from which on a cost is no longer on its line; undefined if all are.
 *
 * - constant: no more than `tolerance` times the least of those before.
 * - linear: what is beyond the cost of the first point, per unit of x, is no more than `tolerance` times the least of those
 *   before. Points count from where that is half of the first one's cost: before, it is noise.
 */
export function leavesAt(line, points) {
  const sound = points.filter((point) => point.every(Number.isFinite))
  if (sound.length < 2) return undefined
  const [[x0, first]] = sound
  const perUnit =
    line === 'constant'
      ? sound
      : sound.filter(([, cost]) => cost > first * 1.5).map(([x, cost]) => [x, (cost - first) / (x - x0)])
  let least = Infinity
  for (const [x, cost] of perUnit) {
    if (cost > least * tolerance) return x
    least = Math.min(least, cost)
  }
  return undefined
}

/** What a table says of a column: its line, and where it ends. */
export function verdict({ head, line, by }, rows, key) {
  const points = rows.map((row) => [row[by], row[key]])
  const at = leavesAt(line, points)
  return { head, line: line === 'constant' ? 'constant' : `linear in ${by}`, at }
}
