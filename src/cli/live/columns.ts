import { printable } from './printable.js'

/** A cell with a number, or a number and its unit. */
const number = /^[\d.]+(?: [A-Za-z]+)?$/

/** Aligns the cells of rows in columns with two spaces between them; the last one is as wide as it is. Numbers stand at the right. */
export function columns(rows: readonly (readonly (string | number)[])[]): string[] {
  const texts = rows.map((row) => row.map((cell) => printable(String(cell))))
  const count = Math.max(0, ...texts.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, at) =>
    Math.max(0, ...texts.map((row) => row[at]?.length ?? 0)),
  )
  const isNumber = widths.map((_, at) => rows.slice(1).every((row) => number.test(String(row[at] ?? ''))))
  return texts.map((row) =>
    row
      .map((cell, at) => {
        if (at === row.length - 1) return cell
        return isNumber[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)
      })
      .join('  '),
  )
}
