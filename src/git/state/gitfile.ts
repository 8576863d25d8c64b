import type { BigIntStats } from 'node:fs'
import { dirname, isAbsolute } from 'node:path'
import { pathText, systemPath } from '../filesystem/byte-path.js'
import type { OpenDirectory } from '../filesystem/open-directory.js'
import { readRegularFile } from '../filesystem/read-file.js'
import { throwIfTransient } from '../filesystem/system-errors.js'
import { statOf } from '../filesystem/stat-of.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** Most bytes of a gitfile: a path and a few words. */
const gitfileMax = 8192n

/** Returns the directory that a gitfile names (gitrepository-layout(5)); undefined: it is not one. */
export function readGitfile(snapshot: StatSnapshot, path: string, stats: BigIntStats): string | undefined {
  if (stats.size > gitfileMax) return undefined
  try {
    const text = snapshot.derive('gitfile', { name: path, path }, stats, () => readText(systemPath(path)))
    const target = /^gitdir: ([^\0]+?)[\r\n]*$/.exec(text)?.[1]
    return target === undefined ? undefined : pathFrom(dirname(path), target)
  } catch (error) {
    throwIfTransient(error)
    return undefined
  }
}

/** Where the file `commondir` of a linked worktree leads (gitrepository-layout(5)). */
export interface CommonDirLink {
  /** For system calls: relative to the open directory. */
  readonly path: string | Buffer
  /** By names, for a guard. */
  readonly real: string
}

/** Reads a directory's file `commondir`; undefined: there is none. @throws the system's error, RemotePath */
export function readCommonDir(snapshot: StatSnapshot, git: OpenDirectory): CommonDirLink | undefined {
  if (snapshot.entries(git)?.has('commondir') === false) return undefined
  const place = git.at('commondir')
  snapshot.guard?.check(place.real!)
  const stats = statOf(place.path)
  if (!stats?.isFile()) return undefined
  const text = snapshot.derive('commondir', place, stats, () => readText(place.path).replace(/[\r\n]+$/, ''))
  return { path: systemPath(pathFrom(git.workingDirectory, text)), real: pathFrom(git.path, text) }
}

const readText = (path: string | Buffer): string => pathText(readRegularFile(path))

/** A path as seen from a directory. Not normalized: a `..` after a link means the parent of its target. */
const pathFrom = (directory: string, path: string): string =>
  isAbsolute(path) ? path : `${directory}/${path}`
