import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Returns the names and contents of a directory's files, as Latin-1. */
export const contents = (directory: string): string =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => path + readFileSync(path, 'latin1'))
    .join('\n')
