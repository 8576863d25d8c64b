import { readdirSync } from 'node:fs'

/** What is in a directory under refs/: names as bytes, written as Latin-1, for names of refs need not be UTF-8. */
export interface RefDirectory {
  readonly directories: readonly string[]
  /** undefined: more than may be checked. */
  readonly files: readonly string[] | undefined
  /** Their targets may be directories or files, and may change. */
  readonly links: readonly string[]
}

export const emptyRefDirectory: RefDirectory = { directories: [], files: [], links: [] }

/**
 * Lists a directory under refs/ in a stable order, without Git's lock files, which are no refs (refs/files-backend.c).
 * @throws the system's error
 */
export function listRefDirectory(path: string | Buffer, filesMax: number): RefDirectory {
  const entries = readdirSync(path, { withFileTypes: true, encoding: 'buffer' })
  const names = (wanted: (typeof entries)[number][]): string[] =>
    wanted.map(({ name }) => name.toString('latin1')).sort()
  const files = entries.filter((entry) => entry.isFile() && !entry.name.subarray(-5).equals(lockSuffix))
  return {
    directories: names(entries.filter((entry) => entry.isDirectory())),
    files: files.length > filesMax ? undefined : names(files),
    links: names(entries.filter((entry) => entry.isSymbolicLink())),
  }
}

const lockSuffix = Buffer.from('.lock')
