import { repositoryMatcher, type RuledRepository } from '../config/repository-glob.js'
import { matchesName } from './names.js'

/** Who may read, or push to, the repositories whose path below the root matches. */
export interface AccessRule {
  readonly glob: string
  readonly action: 'read' | 'push'
  /** Names, with * for any characters; `anyone` is also who has none. */
  readonly names: readonly string[]
}

/** Rules by repository: of those on an action, the first whose glob matches decides; where none does, nobody may. */
export class Rules {
  readonly #rules: readonly {
    readonly rule: AccessRule
    readonly matches: (repository: RuledRepository) => boolean
  }[]

  constructor(rules: readonly AccessRule[]) {
    this.#rules = rules.map((rule) => ({ rule, matches: repositoryMatcher(rule.glob) }))
  }

  /** @param user undefined: somebody without a name */
  allow(action: AccessRule['action'], repository: RuledRepository, user: string | undefined): boolean {
    const found = this.#rules.find(({ rule, matches }) => rule.action === action && matches(repository))
    if (!found) return false
    return found.rule.names.some(
      (name) => name === 'anyone' || (user !== undefined && matchesName(name, user)),
    )
  }
}
