/** One assignment in a Git configuration file. */
export interface ConfigVariable {
  /** `section.variable` in lower case; the subsection, if any, is left out. */
  readonly name: string
  /** undefined for a variable without `=`, which Git reads as true. */
  readonly value: string | undefined
}

/**
 * Parses the syntax of git-config(1), "Syntax", to find out which files a file includes and which variables it mentions.
 * Which values apply in a repository only Git can tell.
 * @throws for a line that Git would report as a bad config line
 */
export function parseConfig(text: string): ConfigVariable[] {
  const variables: ConfigVariable[] = []
  let section = ''
  // Each sticky expression matches where the last one ended.
  const at = { index: text.startsWith('\uFEFF') ? 1 : 0 }
  while (at.index < text.length) {
    if (match(/[ \t\r\n]+|[#;][^\n]*/y, text, at)) continue
    const header = match(/\[(?!\])([-.0-9A-Za-z]*)(?:[ \t\r]+"(?:[^"\\\n]|\\[^\n])*")?\]/y, text, at)
    if (header) {
      // `[section.subsection]` is an old form of `[section "subsection"]`.
      section = `${(header[1] as string).toLowerCase().split('.', 1)[0]}.`
      continue
    }
    const name = match(/([A-Za-z][-0-9A-Za-z]*)[ \t]*/y, text, at)?.[1]?.toLowerCase()
    if (name === undefined) throw new Error(`bad config at character ${at.index}`)
    if (match(/=/y, text, at)) variables.push({ name: `${section}${name}`, value: parseValue(text, at) })
    else if (match(/\r?(?:\n|$)|(?=[#;])/y, text, at)) {
      variables.push({ name: `${section}${name}`, value: undefined })
    } else throw new Error(`bad config at character ${at.index}`)
  }
  return variables
}

const escapes: Record<string, string> = { n: '\n', t: '\t', b: '\b', '"': '"', '\\': '\\', '\n': '' }

/** Reads up to the end of the line that ends the value (config.c, parse_value). */
function parseValue(text: string, at: { index: number }): string {
  let value = ''
  let quoted = false
  // Blanks belong to the value only if another character follows.
  let blanks = ''
  for (;;) {
    const character = next(text, at)
    if (character === '\n') {
      if (quoted) throw new Error(`bad config at character ${at.index}: a quote is not closed`)
      return value
    }
    if (!quoted && /[ \t\r]/.test(character)) {
      if (value.length > 0) blanks += character
      continue
    }
    if (!quoted && (character === '#' || character === ';')) {
      match(/[^\n]*/y, text, at)
      continue
    }
    value += blanks
    blanks = ''
    if (character === '"') quoted = !quoted
    else if (character === '\\') {
      const escaped = escapes[next(text, at)]
      if (escaped === undefined) throw new Error(`bad config at character ${at.index}: unknown escape`)
      value += escaped
    } else value += character
  }
}

/** Returns the next character as Git reads it: a line ends in LF, in CRLF, or at the end of the file. */
function next(text: string, at: { index: number }): string {
  if (text.startsWith('\r\n', at.index)) at.index++
  return text[at.index++] ?? '\n'
}

function match(expression: RegExp, text: string, at: { index: number }): RegExpExecArray | undefined {
  expression.lastIndex = at.index
  const found = expression.exec(text)
  if (!found) return undefined
  at.index += found[0].length
  return found
}
