import { pathText } from '../filesystem/byte-path.js'

/**
 * Returns the paths in an alternates file, as `pathText` writes them: one a line, without comments; a path in double quotes
 * is quoted as in C (parse_alt_odb_entry() in object-file.c, odb.c since 2.51).
 */
export function parseAlternates(content: Buffer): string[] {
  const text = untilNul(content.toString('latin1'))
  const paths: string[] = []
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at)
    const lineEnd = newline < 0 ? text.length : newline
    const quoted = text[at] === '"' ? unquote(text, at + 1) : undefined
    const path = quoted ? untilNul(quoted.text) : text[at] === '#' ? '' : text.slice(at, lineEnd)
    // Git skips one character after a path, whatever it is.
    at = (quoted?.end ?? lineEnd) + 1
    if (path !== '') paths.push(pathText(Buffer.from(path, 'latin1')))
  }
  return paths
}

/** To Git, a text ends at its first NUL. */
const untilNul = (text: string): string => text.split('\0', 1)[0] ?? ''

const escapes: Readonly<Record<string, string>> = {
  ...{ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' },
  ...{ '\\': '\\', '"': '"' },
}

/**
 * Returns what is quoted, and the offset behind the closing quote (unquote_c_style() in quote.c); undefined: it is not well
 * quoted, and so not quoted at all.
 */
function unquote(text: string, start: number): { text: string; end: number } | undefined {
  let unquoted = ''
  for (let at = start; at < text.length;) {
    const character = text.charAt(at++)
    if (character === '"') return { text: unquoted, end: at }
    if (character !== '\\') {
      unquoted += character
      continue
    }
    const octal = /^[0-3][0-7]{2}/.exec(text.slice(at, at + 3))?.[0]
    const escaped = octal === undefined ? escapes[text.charAt(at)] : String.fromCharCode(parseInt(octal, 8))
    if (escaped === undefined) return undefined
    unquoted += escaped
    at += octal?.length ?? 1
  }
  return undefined
}
