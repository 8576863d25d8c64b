import { readSettingFile } from '../config/files.js'

/** Returns whether a name matches a pattern: `*` stands for any characters, as in `build-*`; all else for itself. */
export function matchesName(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return name === pattern
  if (!name.startsWith(first)) return false
  const last = rest.pop() as string
  let at = first.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}

/** Reads the lines of a file with their numbers, without blank lines and comments (#). @throws the system's error */
export function linesOf(path: string): { line: string; number: number }[] {
  return readSettingFile(path)
    .toString()
    .split('\n')
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
}

/** A line of a file cannot be used. The message names the file and the line, and quotes nothing: it may be secret. */
export class BadLine extends Error {
  override readonly name = 'BadLine'

  constructor(path: string, number: number, reason: string) {
    super(`${path}:${number}: ${reason}`)
  }
}
