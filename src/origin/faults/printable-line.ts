/** Whole characters: a surrogate is not cut from its pair. */
const quoted = /^.{0,200}/su

/** Returns the first line of a text from elsewhere that has anything to show: printable characters, at most 200. */
export function printableLine(text: string): string {
  const lines = text.split(/[\r\n]+/).map((line) => line.replace(/\p{C}/gu, '').trim())
  return quoted.exec(lines.find(Boolean) ?? '')?.[0] ?? ''
}
