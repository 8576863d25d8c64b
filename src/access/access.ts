import { parseCredentials } from './credentials.js'
import { AuthorizerUnavailable, Forbidden, Unauthenticated } from './errors.js'
import type { ExternalAuthorizer, AuthorizerAnswer } from './external-authorizer.js'
import type { Htpasswd, PasswordVerdict } from './htpasswd.js'
import type { PasswordChecks } from './password-checks.js'
import { isPush, type Grant, type AccessRequest } from './access-request.js'
import type { Rules } from './rules.js'
import type { Tokens } from './tokens.js'
import type { DecisionCache } from './decision-cache.js'

/** How it is found out who asks. What is read from files is asked for anew each time, for it may have changed. */
export interface AccessOptions {
  readonly tokens?: (() => Tokens) | undefined
  readonly passwords?:
    | {
        readonly file: () => Htpasswd
        readonly checks: PasswordChecks
        readonly decisions: DecisionCache<PasswordVerdict>
      }
    | undefined
  readonly authorizer?:
    { readonly asked: ExternalAuthorizer; readonly decisions: DecisionCache<AuthorizerAnswer> } | undefined
  /** Who may what; undefined: whoever is let in may all. */
  readonly rules?: Rules | undefined
  readonly locate: Locate
}

/**
 * Finds the repository that a path means now, if there is one: the paths below the root that rules must allow, and what
 * tells it from all others.
 */
export type Locate = (path: string) => Located | undefined | Promise<Located | undefined>

type Located = { readonly names: readonly string[]; readonly identity: string }

const realm = 'realm="refstream"'

/**
 * Who may do what. It is asked before a repository is looked at, and answers alike whether there is one or not.
 *
 * First it finds out who asks: by the authoriser, or else by a token, a password, or the name that the connection
 * brought. Then the rules decide. Credentials that are wrong are refused even where none were needed, so that nobody
 * takes himself for somebody.
 */
export class Access {
  readonly #options: AccessOptions
  readonly #challenges: readonly string[]

  constructor(options: AccessOptions) {
    this.#options = options
    this.#challenges = [`Basic ${realm}, charset="UTF-8"`, ...(options.tokens ? [`Bearer ${realm}`] : [])]
  }

  /**
   * At once if nobody else has to be asked.
   * @throws Unauthenticated, Forbidden, AuthorizerUnavailable, Overloaded, or rejects with them
   */
  check(request: AccessRequest): Grant | Promise<Grant> {
    if (!this.#options.authorizer && !this.#wantsNames) return this.#judge(request, request.knownAs)
    return this.#identify(request).then((user) => this.#judge(request, user))
  }

  #judge(request: AccessRequest, user: string | undefined): Grant | Promise<Grant> {
    const { rules } = this.#options
    const name = user === '' ? undefined : user
    if (!rules) {
      if (user === undefined && this.#wantsNames) throw this.#refusal(undefined)
      return { user: name }
    }
    const known = new Map<string, Located | undefined>()
    const grant = (found: Located | undefined): Grant | Promise<Grant> => {
      let pending: Promise<unknown> | undefined
      /** What cannot be told at once is asked for, and then all is decided anew. */
      const locate = (path: string): Located | undefined => {
        if (pending || known.has(path)) return known.get(path)
        const located = this.#options.locate(path)
        if (!(located instanceof Promise)) return located
        pending = located.then((there) => known.set(path, there))
        return undefined
      }
      const allowed = this.#allowed(rules, request, user, found?.names, locate)
      if (pending) return pending.then(() => grant(found))
      if (!allowed) throw this.#refusal(user)
      return { user: name, identity: found?.identity ?? '' }
    }
    const found = this.#options.locate(request.repository)
    return found instanceof Promise ? found.then(grant) : grant(found)
  }

  /** Are there credentials to ask for? */
  get #wantsNames(): boolean {
    return this.#options.tokens !== undefined || this.#options.passwords !== undefined
  }

  /** undefined: nobody in particular; empty: somebody let in who has no name. */
  async #identify(request: AccessRequest): Promise<string | undefined> {
    const { authorizer, tokens, passwords } = this.#options
    if (authorizer) return this.#authorize(authorizer, request)
    const credentials = parseCredentials(request.headers['authorization'])
    if (!credentials) return request.knownAs
    if (credentials.scheme !== 'other') {
      const { scheme } = credentials
      // As with GitHub and GitLab, a token may also stand where Git asks for a password.
      const secret = scheme === 'basic' ? credentials.password : credentials.token
      const name = tokens?.().nameOf(secret)
      if (name !== undefined) return name
      if (scheme === 'basic' && passwords) {
        const { file, checks, decisions } = passwords
        const address = request.remoteAddress ?? ''
        if (await file().check(credentials.user, secret, address, checks, decisions)) return credentials.user
      }
    }
    throw new Unauthenticated(this.#challenges, true)
  }

  async #authorize(
    { asked, decisions }: NonNullable<AccessOptions['authorizer']>,
    request: AccessRequest,
  ): Promise<string> {
    const said = await decisions.of([asked.requestHeaders(request)], () => asked.ask(request))
    if (said.verdict === 'allowed') return said.user ?? request.knownAs ?? ''
    if (said.verdict === 'forbidden') throw new Forbidden(said.challenges)
    const given = request.headers['authorization'] !== undefined
    throw new Unauthenticated(said.challenges.length > 0 ? said.challenges : this.#challenges, given)
  }

  /**
   * By the repository's own path, whatever name it was asked for by. Where there is none, all must be allowed that its
   * path could mean, so that the answer does not tell.
   */
  #allowed(
    rules: Rules,
    request: AccessRequest,
    user: string | undefined,
    found: readonly string[] | undefined,
    locate: (path: string) => Located | undefined,
  ): boolean {
    const { repository } = request
    const action = isPush(request) ? 'push' : 'read'
    const paths = found ?? [repository, `${repository}.git`]
    return paths.every((path) => {
      // One that is not there would also be found by names that are free.
      const isMeantBy = (other: string): boolean =>
        (locate(other)?.names[0] ?? (found === undefined ? path : undefined)) === path
      return rules.allow(action, { path, isMeantBy }, user)
    })
  }

  /** Who has not said who he is may do so; who has will not get further by saying it again. */
  #refusal(user: string | undefined): Error {
    return user === undefined && this.#wantsNames ? new Unauthenticated(this.#challenges) : new Forbidden()
  }
}

export { AuthorizerUnavailable, Forbidden, Unauthenticated }
