/** What a proxy says of its client in an element of `Forwarded` (RFC 7239, section 4): `for`, `proto`, `host` and others. */
export type ForwardedElement = ReadonlyMap<string, string>

const token = "[!#$%&'*+\\-.^_`|~\\da-zA-Z]+"
/** A pair or nothing, and what comes after it: another pair of the element, another element, or the end. */
const pair = new RegExp(`[ \\t]*(?:(${token})=(?:(${token})|"((?:[^"\\\\]|\\\\.)*)")[ \\t]*)?(;|,|$)`, 'sy')

/**
 * Parses the header `Forwarded`, to which each proxy appends an element. Names are in lower case.
 * @returns undefined if it is not valid: then nothing in it can be believed, since a quotation mark that a client has opened
 * may swallow what a proxy has appended
 */
export function parseForwarded(text: string): ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = []
  let element = new Map<string, string>()
  pair.lastIndex = 0
  for (;;) {
    const match = pair.exec(text)
    if (!match) return undefined
    const [, name, plain, quoted = '', end] = match
    if (name !== undefined) {
      const key = name.toLowerCase()
      if (element.has(key)) return undefined
      element.set(key, plain ?? quoted.replace(/\\(.)/gs, '$1'))
    }
    if (end === ';') continue
    // Lists may have empty elements (RFC 9110, section 5.6.1).
    if (element.size > 0) elements.push(element)
    if (end === '') return elements
    element = new Map()
  }
}
