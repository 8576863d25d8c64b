/** Characters that servers and filesystems may leave out of a comparison: marks, controls, and those without a width. */
const ignorable = /[\p{M}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu

/**
 * Returns a text in the form in which it is equal to all texts that some server takes for the same name: without regard to
 * case, compatibility forms and accents, as collations of databases and filesystems compare names.
 */
export const foldText = (text: string): string =>
  text.normalize('NFKD').replace(ignorable, '').toUpperCase().toLowerCase()

/** Most times that a path may have been encoded. */
const encodingsMax = 3

/**
 * Returns a path in such a form, as a server may read it that decodes percent signs again, takes a backslash for a slash,
 * and leaves out parameters (RFC 3986, section 3.3) and dots and spaces at the end of a name.
 * @returns undefined: a server that does so would take it for a path with dot segments, or it is encoded too often
 */
export function foldPath(path: string): string | undefined {
  let decoded = path
  for (let times = 0; decodedOnce(decoded) !== decoded; times++) {
    if (times === encodingsMax) return undefined
    decoded = decodedOnce(decoded)
  }
  const names = foldText(decoded)
    .split(/[/\\]/)
    .map((name) => name.replace(/;.*$/s, ''))
  if (names.some((name) => name === '.' || name === '..')) return undefined
  return names
    .map(trimmed)
    .filter((name) => name !== '')
    .join('/')
}

/** Without the dots and spaces at the end; without a regular expression, whose time would be quadratic. */
export function trimmed(name: string): string {
  let end = name.length
  while (end > 0 && '. '.includes(name[end - 1]!)) end--
  return name.slice(0, end)
}

const decodedOnce = (text: string): string =>
  text.replace(/(?:%[0-9a-f]{2})+/gi, (codes) =>
    Buffer.from(codes.replaceAll('%', ''), 'hex').toString('utf8'),
  )
