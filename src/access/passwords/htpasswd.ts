import type { DecisionCache } from '../decision-cache.js'
import { BadLine, linesOf } from '../names.js'
import type { PasswordChecks } from './password-checks.js'

export interface PasswordDecision {
  readonly isCorrect: boolean
}

/** Accepted costs (log2 of the rounds). bcrypt has none below 4; each step doubles the time, and 12 takes a quarter of a second. */
const [costMin, costMax] = [4, 14]

/** Users and the hashes of their passwords, as `htpasswd -B` writes them. */
export class Htpasswd {
  readonly #hashes: ReadonlyMap<string, string>

  private constructor(hashes: ReadonlyMap<string, string>) {
    this.#hashes = hashes
  }

  /** @throws BadLine, or the system's error */
  static read(path: string): Htpasswd {
    const hashes = new Map<string, string>()
    for (const { line, number } of linesOf(path)) {
      const [, user, hash] = /^([^\p{Cc}:]{1,256}):(.+)$/u.exec(line) ?? []
      if (user === undefined || hash === undefined)
        throw new BadLine(path, number, 'expected a name, a colon and a hash')
      const cost = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1]
      if (cost === undefined)
        throw new BadLine(path, number, 'the hash is not bcrypt; make it with htpasswd -B')
      if (Number(cost) < costMin || Number(cost) > costMax)
        throw new BadLine(path, number, `the cost is ${cost}; ${costMin} to ${costMax} are accepted`)
      if (hashes.has(user)) throw new BadLine(path, number, 'this name is on an earlier line too')
      hashes.set(user, hash)
    }
    return new Htpasswd(hashes)
  }

  /**
   * Resolves with whether this is the user's password. An unknown name takes as long as a known one.
   * @param address of the client: checks are shared fairly among addresses, and among the users at each
   * @throws Overloaded
   */
  async check(
    user: string,
    password: string,
    address: string,
    checks: PasswordChecks,
    decisions: DecisionCache<PasswordDecision>,
  ): Promise<boolean> {
    const own = this.#hashes.get(user)
    const [anyHash] = this.#hashes.values()
    const hash = own ?? anyHash
    if (hash === undefined) return false
    // The hash is part of the key: a changed password is checked again.
    const check = { user, address, password, hash, own: own !== undefined }
    const { isCorrect } = await decisions.get([user, password, own], async () => ({
      isCorrect: (await checks.check(check)) && check.own,
    }))
    return isCorrect
  }
}
