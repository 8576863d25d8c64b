import type { Git } from '../../../git/process/git.js'
import { GitError } from '../../../git/process/git-error.js'
import { BackOff } from '../../../limits/back-off.js'
import type { Clock } from '../../../limits/clock.js'
import { Overloaded } from '../../../limits/overloaded.js'
import {
  parseCredential,
  questionOf,
  runCredentialCommand,
  type CredentialAction,
  type FilledCredential,
} from './credential-command.js'
import { CredentialsUnavailable, type CredentialEvents, type CredentialSource } from './credential-source.js'

export interface GitCredentialOptions {
  readonly git: Git
  /** The upstream's, as settings have it: no credentials, query or fragment. */
  readonly url: string
  /** Longest time in milliseconds for one command, the wait for a permit included; then its processes are killed. */
  readonly limitMs?: number
  readonly events?: CredentialEvents
  readonly clock?: Clock
  /** Returns milliseconds since 1970. */
  readonly now?: () => number
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: () => number
}

interface Kept extends FilledCredential {
  /** Time in milliseconds since 1970 from which it is not used any more. */
  readonly usableUntil: number
  /** Has the upstream accepted it? */
  accepted: boolean
  /** Has the upstream refused it since it has last accepted it? */
  refused: boolean
}

const limitMs = 30_000
/** How long before its end a credential is not used any more, so that a request that has just begun is not refused. */
const marginMs = 10_000
const backOff = { baseMs: 2000, capMs: 60_000, max: 1 }
const key = 'credential'

/** No helper has a credential. */
class NoCredential extends Error {}

/**
 * The credential for one upstream from Git's credential helpers. It is kept in memory until it expires, and asked for by one
 * command at a time (single flight), however many requests need it.
 *
 * A credential that the upstream refuses is asked for again, at growing intervals as long as it is refused (exponential
 * back-off). Meanwhile it stays in use, since some servers answer 401 for one repository and accept the same credential for
 * another. For the same reason helpers are told to forget it (`git credential reject`) only if it was never accepted: a
 * request for a repository that does not exist must not erase what an operator has stored.
 */
export class GitCredential implements CredentialSource {
  readonly #options: GitCredentialOptions
  readonly #question: string
  readonly #backOff: BackOff
  readonly #now: () => number
  #kept: Kept | undefined
  #filling: Promise<string | undefined> | undefined
  /** The last `approve` or `reject`; a later command begins after it. */
  #told: Promise<unknown> = Promise.resolve()

  /** @throws TypeError if the URL's path cannot be written in Git's protocol for helpers */
  constructor(options: GitCredentialOptions) {
    this.#options = options
    this.#question = questionOf(options.url)
    this.#backOff = new BackOff({ ...backOff, ...options })
    this.#now = options.now ?? Date.now
  }

  async get(): Promise<string | undefined> {
    const kept = this.#usable()
    const blocked = this.#backOff.blocked(key)
    if (kept && (blocked || !kept.refused)) return kept.authorization
    if (!blocked || this.#filling)
      return (this.#filling ??= this.#fill().finally(() => (this.#filling = undefined)))
    if (blocked.error instanceof NoCredential) return undefined
    throw blocked.error
  }

  rejected(authorization: string): void {
    const kept = this.#kept
    // An answer to an earlier credential, or one more to this one, says nothing new.
    if (!kept || kept.authorization !== authorization || kept.refused) return
    kept.refused = true
    this.#refusedAgain()
    this.#options.events?.refused?.(this.#options.url)
  }

  accepted(authorization: string): void {
    const kept = this.#kept
    if (!kept || kept.authorization !== authorization || (kept.accepted && !kept.refused)) return
    if (!kept.accepted) this.#tell('approve', kept)
    kept.accepted = true
    kept.refused = false
    this.#backOff.succeeded(key)
  }

  #refusedAgain(): void {
    const { url } = this.#options
    this.#backOff.failed(key, new CredentialsUnavailable(`${url} refuses the credential of Git’s helpers`))
  }

  #usable(): Kept | undefined {
    const kept = this.#kept
    return kept && kept.usableUntil > this.#now() ? kept : undefined
  }

  async #fill(): Promise<string | undefined> {
    const refused = this.#usable()
    if (refused && !refused.accepted) this.#tell('reject', refused)
    await this.#told
    let filled: FilledCredential | undefined
    try {
      filled = parseCredential(await this.#run('fill', this.#question))
    } catch (error) {
      if (error instanceof Overloaded) throw error
      this.#backOff.failed(key, error)
      if (refused) return refused.authorization
      throw error
    }
    if (filled) return this.#keep(filled)
    this.#backOff.failed(key, new NoCredential())
    this.#kept = refused?.accepted ? refused : undefined
    return this.#kept?.authorization
  }

  #keep(filled: FilledCredential): string {
    const { authorization, expiresAt = Infinity } = filled
    const now = this.#now()
    const leftMs = expiresAt * 1000 - now
    const earlier = this.#kept?.authorization === authorization ? this.#kept : undefined
    const kept: Kept = {
      ...filled,
      usableUntil: now + leftMs - Math.min(marginMs, leftMs / 2),
      accepted: earlier?.accepted ?? false,
      refused: earlier?.refused ?? false,
    }
    if (kept.refused) this.#refusedAgain()
    this.#kept = kept
    return authorization
  }

  /** Tells the helpers what the upstream said. That they may fail has no effect on requests; Git logs it. */
  #tell(action: 'approve' | 'reject', { lines }: FilledCredential): void {
    this.#told = this.#told.then(() => this.#run(action, `${lines.trimEnd()}\n\n`)).catch(() => {})
  }

  /** @throws CredentialsUnavailable, or Overloaded */
  async #run(action: CredentialAction, input: string): Promise<string> {
    const { git, url } = this.#options
    const signal = AbortSignal.timeout(this.#options.limitMs ?? limitMs)
    try {
      return await runCredentialCommand(git, action, input, url, signal)
    } catch (error) {
      if (error instanceof Overloaded) throw error
      // Git itself has ended, and would have asked a user now: no helper has a credential.
      if (error instanceof GitError && /exit code \d+$/.test(error.message) && !signal.aborted) return ''
      const reason = signal.aborted ? 'do not answer in time' : (error as Error).message
      throw new CredentialsUnavailable(`Git’s credential helpers for ${url}: ${reason}`, { cause: error })
    }
  }
}
