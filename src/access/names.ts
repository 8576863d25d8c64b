import { readSettingFile } from '../config/files.js'

/** Does a name have this form? `*` stands for any characters, as in `build-*`; everything else for itself. */
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

/** The lines of a file that say something, with their numbers; blank ones and those that begin with # do not. */
export function linesOf(path: string): { line: string; number: number }[] {
  return readSettingFile(path)
    .toString()
    .split('\n')
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
}

/** A line of a file cannot be used. The message names the file and the line, and nothing that may be secret. */
export class BadLine extends Error {
  override readonly name = 'BadLine'

  constructor(path: string, number: number, reason: string) {
    super(`${path}:${number}: ${reason}`)
  }
}
