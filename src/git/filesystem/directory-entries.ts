import { opendirSync } from 'node:fs'
import { throwIfTransient } from './system-errors.js'

/** The entries of a directory: names as Latin-1, and the kind of each. */
export type DirectoryEntries = ReadonlyMap<string, 'directory' | 'link' | 'other'>

/** Most entries that are listed and remembered; a Git directory has a dozen. */
const entriesMax = 1000

/**
 * Lists a directory; undefined: it may not be listed, or has more than `entriesMax` entries.
 * @throws the system's error if it says nothing about the directory, such as EMFILE
 */
export function listEntries(path: string | Buffer): DirectoryEntries | undefined {
  try {
    const directory = opendirSync(path, { encoding: 'latin1' })
    try {
      const entries = new Map<string, 'directory' | 'link' | 'other'>()
      for (let entry = directory.readSync(); entry; entry = directory.readSync()) {
        if (entries.size >= entriesMax) return undefined
        const kind = entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'link' : 'other'
        entries.set(entry.name, kind)
      }
      return entries
    } finally {
      directory.closeSync()
    }
  } catch (error) {
    throwIfTransient(error)
    return undefined
  }
}
