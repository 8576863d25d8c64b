import { foldPath, trimmed } from '../config/values/folded-name.js'
import type { RuledRepository } from '../config/values/repository-glob.js'

/**
 * Returns what a server may take a path for, whose way to compare names is not known: the repository of exactly this name,
 * or that of any name that differs from it in case and the like. What letters are in a class of a glob depends on their case,
 * so both cases are tried. Git finds a repository with and without `.git` at the end of its name (path.c, enter_repo).
 * @returns undefined: it may be a path that leads elsewhere
 */
export function readingsOf(path: string): RuledRepository[] | undefined {
  const folded = foldPath(path)
  if (folded === undefined) return undefined
  const lower = withoutGit(folded)
  return [
    { path: withGit(path.replace(/(?:(?:^|\/)\.git|\.git(?:\/\.git)?)$/, '')), refersTo },
    ...[lower, lower.toUpperCase()].map((each) => ({ path: withGit(each), refersTo, isFolded: true })),
  ]
}

/** Is a repository of one of these paths reached by the other one, for all that is known? */
export function isSameUpstreamPath(one: string, other: string): boolean {
  const [first, second] = [foldPath(one), foldPath(other)]
  return first !== undefined && second !== undefined && withoutGit(first) === withoutGit(second)
}

const refersTo = (): boolean => true

/** @param path folded */
function withoutGit(path: string): string {
  const rest = /^(.*?)\/?\.git$/s.exec(path)?.[1]
  return rest === undefined ? path : withoutGit(trimmed(rest))
}

const withGit = (path: string): string => (path === '' ? path : `${path}.git`)
