/** Longest text that is searched, in characters, and most lines of one value: configurations are shorter. */
const textMax = 1024 * 1024
const valueLinesMax = 1000

/**
 * Returns the line numbers of the keys at the top level of a valid TOML text. Its parser reports no positions, so it is
 * given one statement after the other: as many lines as it accepts together.
 */
export function linesOfKeys(
  text: string,
  parse: (part: string) => Record<string, unknown>,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  if (text.length > textMax) return found
  const lines = text.split(/\r?\n/)
  let inTable = false
  for (let index = 0; index < lines.length; index++) {
    const start = index
    let statement = lines[index] ?? ''
    let keys = keysOf(statement, parse)
    while (!keys && index + 1 < lines.length && index - start < valueLinesMax) {
      statement += `\n${lines[++index]}`
      keys = keysOf(statement, parse)
    }
    if (!keys) return found
    const header = /^\s*\[/.test(statement)
    inTable ||= header
    // Keys after the header of a table are in that table.
    if (inTable && !header) continue
    for (const key of keys) if (!found.has(key)) found.set(key, start + 1)
  }
  return found
}

function keysOf(
  statement: string,
  parse: (part: string) => Record<string, unknown>,
): readonly string[] | undefined {
  try {
    return Object.keys(parse(statement))
  } catch {
    return undefined
  }
}
