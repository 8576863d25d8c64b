import { BadLine, linesOf } from './names.js'
import type { PasswordChecks } from './password-checks.js'
import type { DecisionCache } from './decision-cache.js'

/** A verdict on a user's password. */
export interface PasswordVerdict {
  readonly good: boolean
}

/** The costs (log2 of rounds) that are taken: bcrypt has none below 4; each step doubles the time; 12 takes a quarter of a second. */
const [costMin, costMax] = [4, 14]

/** Users and their passwords, as `htpasswd -B` writes them. */
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
        throw new BadLine(path, number, 'not a name, a colon and a hash')
      const cost = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1]
      if (cost === undefined)
        throw new BadLine(path, number, 'the hash is not bcrypt; make it with htpasswd -B')
      if (Number(cost) < costMin || Number(cost) > costMax)
        throw new BadLine(path, number, `the cost is ${cost}; ${costMin} to ${costMax} are taken`)
      if (hashes.has(user)) throw new BadLine(path, number, 'this name was there before')
      hashes.set(user, hash)
    }
    return new Htpasswd(hashes)
  }

  /**
   * Is it this user's password? A name that nobody has takes as long as one that somebody has.
   * @param address who asks: checks are shared out among addresses, and among the users at each
   * @throws Overloaded
   */
  async check(
    user: string,
    password: string,
    address: string,
    checks: PasswordChecks,
    decisions: DecisionCache<PasswordVerdict>,
  ): Promise<boolean> {
    const own = this.#hashes.get(user)
    const [any] = this.#hashes.values()
    const hash = own ?? any
    if (hash === undefined) return false
    // The hash is part of the question: a password that has been changed is asked for anew.
    const check = { user, address, password, hash, own: own !== undefined }
    const verdict = await decisions.of([user, password, own], async () => ({
      good: (await checks.check(check)) && check.own,
    }))
    return verdict.good
  }
}
