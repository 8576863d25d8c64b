/** Longest text that is searched, in characters, and most lines of one value: more is no configuration of people's. */
const textMax = 1024 * 1024
const valueLinesMax = 1000

/**
 * The number of the line where each key of a TOML text's top level begins. The text is known to be sound; its parser
 * tells no positions, so it is fed with one statement after the other: as many lines as make sense together.
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
    // What follows a table's header is in that table.
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
