import { lstatSync, type BigIntStats } from 'node:fs'
import { dirname } from 'node:path'
import { systemPath } from '../filesystem/byte-path.js'
import type { OpenDirectory } from '../filesystem/open-directory.js'
import { pathWithin } from '../filesystem/path-within.js'
import { realPath } from '../filesystem/real-path.js'
import { throwIfTransient } from '../filesystem/system-errors.js'

/**
 * Opens a directory of a repository, to be closed with the others.
 * @param real where it is, by names, for the guard; left out: that was checked
 */
export type OpenPart = (path: string | Buffer, real?: string) => OpenDirectory | undefined

/**
 * Returns where the links lead that stand for parts of a repository, absolute and free of links, without those that stay
 * inside the directory; undefined: this is no repository, for a required part is missing.
 */
export function followLinks(
  directory: OpenDirectory,
  parts: Readonly<Record<string, BigIntStats | undefined>>,
  open: OpenPart,
  requiredParts: readonly string[] = ['objects', 'refs'],
): string[] | undefined {
  const targets: string[] = []
  for (const [part, stats] of Object.entries(parts)) {
    const required = requiredParts.includes(part)
    if (required && !stats?.isDirectory() && !stats?.isSymbolicLink()) return undefined
    // What a symbolic HEAD points to is a ref (setup.c, validate_headref).
    if (!stats?.isSymbolicLink() || part === 'HEAD') continue
    const { path } = directory.at(part)
    const opened = open(path, `${directory.path}/${part}`)
    if (opened) targets.push(opened.path)
    else if (required) return undefined
    else targets.push(realPathOf(path) ?? `${directory.path}/${part}`)
  }
  return targets.filter((target) => pathWithin(directory.path, target) === undefined)
}

function realPathOf(path: string | Buffer): string | undefined {
  try {
    return realPath(path)
  } catch (error) {
    throwIfTransient(error)
    return undefined
  }
}

/**
 * Returns the name of the repository that a place lies in, or of the place itself if it lies in none.
 * @param path absolute and free of links
 * @param name the same, relative to the root
 */
export function owningRepository(path: string, name: string): string {
  const root = path.slice(0, path.length - name.length)
  for (let home = name; ; home = dirname(home)) {
    if (isRepositoryLike(`${root}${home === '.' ? '' : home}`)) return home === '.' ? '' : home
    if (home === '.' || home === '') return name
  }
}

/** Has a directory the parts that every repository has (gitrepository-layout(5))? */
function isRepositoryLike(directory: string): boolean {
  const options = { throwIfNoEntry: false } as const
  try {
    return ['HEAD', 'objects', 'refs'].every((part) => lstatSync(systemPath(`${directory}/${part}`), options))
  } catch (error) {
    throwIfTransient(error)
    return false
  }
}
