import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** All that a directory's files hold, as Latin-1, and their names. */
export const contents = (directory: string): string =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => path + readFileSync(path, 'latin1'))
    .join('\n')
