/** Most characters that are quoted. */
const charactersMax = 200

/** Returns the first line of a text from elsewhere that has anything to show: printable characters, at most 200. */
export function printableLine(text: string): string {
  const lines = text.split(/[\r\n]+/).map((line) => line.replace(/\p{C}/gu, '').trim())
  // Whole characters: a surrogate is not cut from its pair.
  return [...(lines.find(Boolean) ?? '')].slice(0, charactersMax).join('')
}
