import { withConfig } from '../../../git/process/environment.js'
import type { Git } from '../../../git/process/git.js'
import { outputOf } from '../../../git/process/git-process.js'
import { basicAuthorization } from './credential-source.js'

/** What `git credential fill` has answered. */
export interface FilledCredential {
  readonly authorization: string
  /** The answer itself, to be given back to `git credential approve` and `reject`. */
  readonly lines: string
  /** Unix time in seconds from which it is no longer valid (`password_expiry_utc`); undefined: not known. */
  readonly expiresAt: number | undefined
}

export type CredentialAction = 'fill' | 'approve' | 'reject'

/**
 * Runs `git credential ACTION` (git-credential(1)), which asks the helpers that Git's configuration names. It never prompts,
 * on no terminal and with no window, and no repository's configuration counts.
 * @param where what is logged if it fails; its standard error is not, since helpers may write secrets to it
 * @returns its output
 * @throws GitError, Overloaded, or the signal's reason
 */
export async function runCredentialCommand(
  git: Git,
  action: CredentialAction,
  input: string,
  where: string,
  signal: AbortSignal,
): Promise<string> {
  const permit = await git.acquirePermit({ class: 'fill', group: where, admitted: true, signal })
  const environment = withConfig(
    {
      ...git.environment,
      GIT_TERMINAL_PROMPT: '0',
      // Set and empty: neither core.askPass nor SSH_ASKPASS is run (prompt.c).
      GIT_ASKPASS: '',
      SSH_ASKPASS: '',
      GCM_INTERACTIVE: 'never',
    },
    [['credential.interactive', 'false']],
  )
  const process = git.spawn(['credential', action], {
    environment,
    cwd: '/',
    where,
    permit,
    signal,
    hidesStderr: true,
  })
  process.stdin.write(input)
  return outputOf(process)
}

/** Returns the input that asks for the credential of an upstream. */
export function questionOf(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  const path = decodeURIComponent(pathname.slice(1))
  if (/\p{Cc}/u.test(path)) throw new TypeError(`${url} has a control character in its path`)
  // Without the capability, Git leaves out credentials of other schemes than Basic (2.46 and later; earlier ones have none).
  const lines = ['capability[]=authtype', `protocol=${protocol.slice(0, -1)}`, `host=${host}`]
  return [...lines, ...(path === '' ? [] : [`path=${path}`]), '', ''].join('\n')
}

/** Parses the answer of `git credential fill`; undefined: it holds no credential that can be sent. */
export function parseCredential(lines: string): FilledCredential | undefined {
  const values = new Map<string, string>()
  for (const line of lines.split('\n')) {
    const at = line.indexOf('=')
    if (at > 0) values.set(line.slice(0, at), line.slice(at + 1))
  }
  const authorization = authorizationOf(values)
  if (authorization === undefined) return undefined
  const [, expiry] = /^(\d{1,15})$/.exec(values.get('password_expiry_utc') ?? '') ?? []
  return { authorization, lines, expiresAt: expiry === undefined ? undefined : Number(expiry) }
}

function authorizationOf(values: ReadonlyMap<string, string>): string | undefined {
  const [scheme, credential] = [values.get('authtype'), values.get('credential')]
  const [user, password] = [values.get('username'), values.get('password')]
  if (scheme && credential) {
    const value = `${scheme} ${credential}`
    return /^[\w!#$%&'*+.^`|~-]+ [\x20-\x7e]+$/.test(value) ? value : undefined
  }
  return user === undefined || password === undefined ? undefined : basicAuthorization(user, password)
}
