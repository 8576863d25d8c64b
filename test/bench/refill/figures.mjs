// What a run of refill.mjs says in the end: medians of rounds, and how they compare.
import { median } from '../rig.mjs'

/** Medians of the numbers of rounds that were alike. */
export function mediansOf(rounds) {
  const keys = Object.keys(rounds[0] ?? {}).filter((key) => typeof rounds[0][key] === 'number')
  return Object.fromEntries(keys.map((key) => [key, median(rounds.map((round) => round[key]))]))
}

/**
 * How far figures differ from the first of them at most, as a part of it: 0.2 means that all are within a fifth.
 * NaN: there are none, or the first is 0.
 */
export function deviation(values) {
  const [first] = values
  return Math.max(...values.map((value) => Math.abs(value / first - 1)), first > 0 ? 0 : NaN)
}

/** Rows with splices on, each with what the same costs with them off, as parts of that. */
export function ratios(rows, keys) {
  const isSame = (one, other) => ['refs', 'format', 'kind'].every((key) => one[key] === other[key])
  return rows
    .filter(({ splice }) => splice === 'on')
    .map((on) => {
      const off = rows.find((row) => row.splice === 'off' && isSame(row, on))
      return { ...on, ...Object.fromEntries(keys.map((key) => [key, off ? on[key] / off[key] : NaN])) }
    })
}
