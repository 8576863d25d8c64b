import { isPush, type AccessRequest, type Grant } from './access-request.js'
import { parseCredentials } from './credentials.js'
import type { DecisionCache } from './decision-cache.js'
import { AuthorizerUnavailable, Forbidden, Unauthenticated } from './errors.js'
import type { AuthorizerDecision, ExternalAuthorizer } from './external-authorizer.js'
import type { Htpasswd, PasswordDecision } from './passwords/htpasswd.js'
import type { PasswordChecks } from './passwords/password-checks.js'
import type { Rules } from './rules.js'
import type { Tokens } from './tokens.js'

/** How clients are authenticated and authorized. Functions return what was read from a file last. */
export interface AccessOptions {
  readonly tokens?: (() => Tokens) | undefined
  readonly passwords?:
    | {
        readonly file: () => Htpasswd
        readonly checks: PasswordChecks
        readonly decisions: DecisionCache<PasswordDecision>
      }
    | undefined
  readonly authorizer?:
    | { readonly service: ExternalAuthorizer; readonly decisions: DecisionCache<AuthorizerDecision> }
    | undefined
  /** Authorization rules; undefined: allow every client that is authenticated, or does not have to be. */
  readonly rules?: (() => Rules) | undefined
  readonly locate: Locate
}

/** Finds the repository that a path refers to now; undefined: there is none. */
export type Locate = (path: string) => Located | undefined | Promise<Located | undefined>

export interface Located {
  /** Paths below the root; rules must allow each. */
  readonly names: readonly string[]
  /** Tells this repository from all others; empty: there is none here. */
  readonly identity: string
  /** The path by which another server is asked for it; left out: none is. */
  readonly upstreamPath?: string
}

const realm = 'realm="refstream"'

/**
 * Authentication and authorization: decides whether a request may be answered. It is called before a repository is opened,
 * and the decision does not depend on whether the repository exists.
 *
 * First the client is authenticated: by the external authorizer, or else by a token, a password, or the name that its
 * connection brings. Then the rules decide. Wrong credentials are rejected even where none are needed, so that a client
 * does not mistake anonymous access for its own.
 */
export class Access {
  readonly #options: AccessOptions
  readonly #challenges: readonly string[]
  /** Is there nothing by which any request could be refused? */
  readonly #isOpen: boolean

  constructor(options: AccessOptions) {
    this.#options = options
    const { authorizer, tokens, passwords, rules } = options
    this.#isOpen = !(authorizer ?? tokens ?? passwords ?? rules)
    this.#challenges = [`Basic ${realm}, charset="UTF-8"`, ...(options.tokens ? [`Bearer ${realm}`] : [])]
  }

  /**
   * Returns the grant for whatever a client asks, if this allows everything; undefined: `check` decides by the request, all
   * of which a cache hit need not gather otherwise.
   */
  grantAny(knownAs: string | undefined): Grant | undefined {
    return this.#isOpen ? grantTo(knownAs) : undefined
  }

  /**
   * Returns a grant at once, unless an authorizer, a password check or a filesystem that may hang has to be waited for.
   * @throws Unauthenticated, Forbidden, AuthorizerUnavailable, Overloaded, or rejects with them
   */
  check(request: AccessRequest): Grant | Promise<Grant> {
    if (!this.#options.authorizer && !this.#takesCredentials) return this.#authorize(request, request.knownAs)
    return this.#authenticate(request).then((user) => this.#authorize(request, user))
  }

  get #takesCredentials(): boolean {
    return this.#options.tokens !== undefined || this.#options.passwords !== undefined
  }

  /** Resolves with the user's name; undefined: the client is not authenticated; empty: it is, and has no name. */
  async #authenticate(request: AccessRequest): Promise<string | undefined> {
    const { authorizer, tokens, passwords } = this.#options
    if (authorizer) return this.#authenticateBy(authorizer, request)
    const credentials = parseCredentials(request.headers['authorization'])
    if (!credentials) return request.knownAs
    if (credentials.scheme !== 'other') {
      const { scheme } = credentials
      // As with GitHub and GitLab, a token may also be given as the password.
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

  async #authenticateBy(
    { service, decisions }: NonNullable<AccessOptions['authorizer']>,
    request: AccessRequest,
  ): Promise<string> {
    const decision = await decisions.get([service.requestHeaders(request)], () => service.decide(request))
    if (decision.outcome === 'allowed') return decision.user ?? request.knownAs ?? ''
    if (decision.outcome === 'forbidden') throw new Forbidden(decision.challenges)
    const hasCredentials = request.headers['authorization'] !== undefined
    const challenges = decision.challenges.length > 0 ? decision.challenges : this.#challenges
    throw new Unauthenticated(challenges, hasCredentials)
  }

  #authorize(request: AccessRequest, user: string | undefined): Grant | Promise<Grant> {
    const { locate } = this.#options
    // One set of rules decides the whole request, also if other rules are read while a filesystem is waited for.
    const rules = this.#options.rules?.()
    if (!rules) {
      if (user === undefined && this.#takesCredentials) throw this.#denial(undefined)
      return grantTo(user)
    }
    const found = locate(request.repository)
    return found instanceof Promise
      ? found.then((found) => this.#applyRules(rules, request, user, found))
      : this.#applyRules(rules, request, user, found)
  }

  /** @param known what was located so far on the way to this decision */
  #applyRules(
    rules: Rules,
    request: AccessRequest,
    user: string | undefined,
    found: Located | undefined,
    known = new Map<string, Located | undefined>(),
  ): Grant | Promise<Grant> {
    let pending: Promise<unknown> | undefined
    /** Returns undefined while a lookup is pending; the rules are applied again when it resolves. */
    const locate = (path: string): Located | undefined => {
      if (pending || known.has(path)) return known.get(path)
      const located = this.#options.locate(path)
      if (!(located instanceof Promise)) return located
      pending = located.then((there) => known.set(path, there))
      return undefined
    }
    const isAllowed =
      this.#allows(rules, request, user, found?.names, locate) &&
      (found?.upstreamPath === undefined || rules.allowUpstream(actionOf(request), found.upstreamPath, user))
    if (pending) return pending.then(() => this.#applyRules(rules, request, user, found, known))
    if (!isAllowed) throw this.#denial(user)
    return { user: user === '' ? undefined : user, identity: found?.identity ?? '' }
  }

  /**
   * Applies the rules to the repository's own paths, whatever name the request has for it. If there is no repository,
   * every path that the name could mean must be allowed, so that the decision does not reveal it.
   */
  #allows(
    rules: Rules,
    request: AccessRequest,
    user: string | undefined,
    names: readonly string[] | undefined,
    locate: (path: string) => Located | undefined,
  ): boolean {
    const { repository } = request
    const action = actionOf(request)
    const paths = names ?? [repository, `${repository}.git`]
    return paths.every((path) => {
      // If no repository exists, a name that no other repository has would mean this one.
      const refersTo = (other: string): boolean =>
        (locate(other)?.names[0] ?? (names === undefined ? path : undefined)) === path
      return rules.allow(action, { path, refersTo }, user)
    })
  }

  /** A client without credentials may try again with credentials; an authenticated one would be denied again. */
  #denial(user: string | undefined): Error {
    const mayAuthenticate = user === undefined && this.#takesCredentials
    return mayAuthenticate ? new Unauthenticated(this.#challenges) : new Forbidden()
  }
}

/** @param user empty: it has no name */
const grantTo = (user: string | undefined): Grant => ({ user: user === '' ? undefined : user })

const actionOf = (request: AccessRequest): 'push' | 'read' => (isPush(request) ? 'push' : 'read')

export { AuthorizerUnavailable, Forbidden, Unauthenticated }
