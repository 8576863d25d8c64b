import { repositoryMatcher, type RuledRepository } from '../config/values/repository-glob.js'
import { accessRule } from '../config/values/values.js'
import { BadLine, linesOf, matchesName } from './names.js'
import { readingsOf } from './upstream-names.js'

/** Allows users to read, or to push to, the repositories whose path below the root matches. */
export interface AccessRule {
  readonly glob: string
  readonly action: 'read' | 'push'
  /** Patterns for user names, see `matchesName`; `anyone` matches anonymous clients too. */
  readonly names: readonly string[]
}

/**
 * Reads rules from a file, one per line. A file without a rule is rejected: a program that rewrites it in place may have
 * emptied it a moment ago, and no rule would mean that all access is denied.
 * @throws BadLine, an Error that names the file, or the system's error
 */
export function readRules(path: string): AccessRule[] {
  const rules = linesOf(path).map(({ line, number }) => {
    const { success, data, error } = accessRule.safeParse(line)
    if (success) return data
    const form = 'expected GLOB=read:NAMES or GLOB=push:NAMES, with + between names'
    throw new BadLine(path, number, `${error.issues[0]?.message}; ${form}`)
  })
  if (rules.length === 0) throw new Error(`${path}: there is no rule in it`)
  return rules
}

/** Authorization rules: the first rule for the action whose glob matches decides; without one, access is denied. */
export class Rules {
  readonly #rules: readonly {
    readonly rule: AccessRule
    readonly matches: (repository: RuledRepository) => boolean
  }[]

  constructor(rules: readonly AccessRule[]) {
    this.#rules = rules.map((rule) => ({ rule, matches: repositoryMatcher(rule.glob) }))
  }

  /** @param user undefined: the client is anonymous */
  allow(action: AccessRule['action'], repository: RuledRepository, user: string | undefined): boolean {
    const found = this.#rules.find(({ rule, matches }) => rule.action === action && matches(repository))
    if (!found) return false
    return found.rule.names.some(
      (name) => name === 'anyone' || (user !== undefined && matchesName(name, user)),
    )
  }

  /**
   * Does the same for a repository of another server, which compares names in a way that is not known here: the rules must
   * allow each repository that the server may take this path for.
   */
  allowUpstream(action: AccessRule['action'], path: string, user: string | undefined): boolean {
    return readingsOf(path)?.every((repository) => this.allow(action, repository, user)) ?? false
  }
}
