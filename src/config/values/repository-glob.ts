import { foldText } from './folded-name.js'
import { parseGlob, type Glob } from './glob.js'

/** A repository, as rules refer to it. */
export interface RuledRepository {
  /** Relative to the root, without a `/.git` at the end; empty: the root itself. */
  readonly path: string
  /** Returns whether Git finds this repository, and not another one, by another path. */
  readonly refersTo: (path: string) => boolean
  /** Does the path stand for all that `foldText` takes for the same? */
  readonly isFolded?: boolean
}

/**
 * Makes a function that returns whether a glob applies to a repository: by its own path, or by the path without `.git` by
 * which Git finds it too. So `a` applies to `a.git`, unless `a` is another repository.
 * @throws BadGlob
 */
export function repositoryMatcher(glob: string): (repository: RuledRepository) => boolean {
  const named = glob.replace(/^([^*?[\]{}\\!]+)\/\.git$/, '$1')
  const exact = parseGlob(named)
  let folded: Glob | undefined
  return ({ path, refersTo, isFolded }) => {
    const { negated, fits } = isFolded ? (folded ??= parseGlob(named, foldText)) : exact
    const short = /^(.*[^/])\.git$/s.exec(path)?.[1]
    const found = fits(path || '.') || (short !== undefined && fits(short) && refersTo(short))
    return found !== negated
  }
}

/** Returns the rules that apply to none of the repositories. @param paths of all repositories, as `RuledRepository.path` */
export function idleRules<Rule extends { readonly glob: string }>(
  rules: readonly Rule[],
  paths: readonly string[],
): Rule[] {
  const all = new Set(paths)
  return rules.filter(({ glob }) => {
    const matches = repositoryMatcher(glob)
    return !paths.some((path) => matches({ path, refersTo: (other) => !all.has(other) }))
  })
}
