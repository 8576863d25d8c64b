import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Returns the names and contents of a directory's files, as Latin-1. */
export const contents = (directory: string): string =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => path + textOf(path))
    .join('\n')

/** A file that has been removed since it was listed is empty. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return ''
  }
}
