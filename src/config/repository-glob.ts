import { parseGlob } from './glob.js'

/** A repository, as rules mean it. */
export interface RuledRepository {
  /** Relative to the root, without a `/.git` at its end; empty: it is the root itself. */
  readonly path: string
  /** Does Git find this repository, and no other, by another path? */
  readonly isMeantBy: (path: string) => boolean
}

/**
 * Makes what tells whether a glob is for a repository. It goes by its own path, or by the one without `.git` under which
 * Git finds it too: so `a` is for `a.git`, unless `a` is another repository.
 * @throws BadGlob
 */
export function repositoryMatcher(glob: string): (repository: RuledRepository) => boolean {
  const { negated, fits } = parseGlob(glob.replace(/^([^*?[\]{}\\!]+)\/\.git$/, '$1'))
  return ({ path, isMeantBy }) => {
    const short = /^(.*[^/])\.git$/s.exec(path)?.[1]
    const found = fits(path || '.') || (short !== undefined && fits(short) && isMeantBy(short))
    return found !== negated
  }
}

/** The rules that are for none of the repositories. @param paths of all repositories, as `RuledRepository.path` */
export function idleRules<Rule extends { readonly glob: string }>(
  rules: readonly Rule[],
  paths: readonly string[],
): Rule[] {
  const all = new Set(paths)
  return rules.filter(({ glob }) => {
    const matches = repositoryMatcher(glob)
    return !paths.some((path) => matches({ path, isMeantBy: (other) => !all.has(other) }))
  })
}
