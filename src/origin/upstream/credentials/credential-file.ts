import { statSync } from 'node:fs'
import { BadLine, linesOf } from '../../../access/names.js'
import { basicAuthorization, type CredentialEvents, type CredentialSource } from './credential-source.js'

/** A credential, and the place that it is for; undefined: all upstreams. */
interface Line {
  readonly place: { readonly origin: string; readonly path: string } | undefined
  readonly authorization: string
}

/**
 * Credentials for upstreams: lines `https://USER:PASSWORD@HOST`, percent-encoded, as git-credential-store(1) writes them, or
 * one line `USER:PASSWORD` or `Bearer TOKEN`. Blank lines and comments (#) are left out. Without a user name to look for, the
 * first line for the place is used, as `git credential-store` does; one with a path is for what is at or below that path.
 */
export class CredentialFile {
  readonly #lines: readonly Line[]
  /** May every user of this machine read it? */
  readonly isPublic: boolean

  private constructor(lines: readonly Line[], isPublic: boolean) {
    this.#lines = lines
    this.isPublic = isPublic
  }

  /**
   * @param upstreams their URLs, as settings have them
   * @throws BadLine, the system's error, or an Error if the file does not suit the upstreams; none quotes its content
   */
  static read(path: string, upstreams: readonly string[]): CredentialFile {
    const lines = linesOf(path).map(({ line, number }) => parse(line, path, number))
    const stats = statSync(path)
    const file = new CredentialFile(lines, stats.isFile() && (stats.mode & 0o004) !== 0)
    const origins = new Set(upstreams.map((url) => new URL(url).origin))
    if (lines.length > 1 && lines.some(({ place }) => !place)) {
      throw new Error('a credential without a host must be the only line; write https://USER:PASSWORD@HOST')
    }
    if (origins.size > 1 && lines.some(({ place }) => !place)) {
      throw new Error('with several upstreams each credential needs its host: https://USER:PASSWORD@HOST')
    }
    if (!upstreams.some((url) => file.authorizationFor(url) !== undefined)) {
      throw new Error(`it has no credential for ${upstreams.join(', ')}`)
    }
    return file
  }

  /** Returns the value of `Authorization` for requests to an upstream; undefined: the file has none for it. */
  authorizationFor(url: string): string | undefined {
    const { origin, pathname } = new URL(url)
    const path = decodeURIComponent(pathname)
    const found = this.#lines.find(
      ({ place }) => !place || (place.origin === origin && isAtOrBelow(path, place.path)),
    )
    return found?.authorization
  }
}

const isAtOrBelow = (path: string, top: string): boolean =>
  top === '' || path === top || path.startsWith(`${top}/`)

function parse(line: string, path: string, number: number): Line {
  const bad = (reason: string): BadLine => new BadLine(path, number, reason)
  if (!/^https?:\/\//i.test(line)) return { place: undefined, authorization: bareAuthorization(line, bad) }
  // The first colon and the first @ count, as in Git (credential.c).
  const [, scheme, user, password, host, below = ''] =
    /^(https?):\/\/([^:@/]+):([^@/]*)@([^/?#@]+)(\/[^?#]*)?$/i.exec(line) ?? []
  const expected = 'expected https://USER:PASSWORD@HOST, with reserved characters percent-encoded'
  if (user === undefined || password === undefined || host === undefined) throw bad(expected)
  try {
    // git credential-store encodes the colon before a port too.
    const [name, secret, authority, top] = [user, password, host, below].map(decodeURIComponent) as [
      string,
      string,
      string,
      string,
    ]
    const url = `${scheme}://${authority}`
    if (!/^[\w.:[\]-]+$/.test(authority) || !URL.canParse(url)) throw bad(expected)
    if (/\p{Cc}/u.test(name + secret) || name.includes(':')) {
      throw bad('a user name has no colon, and neither it nor a password has control characters')
    }
    const place = { origin: new URL(url).origin, path: top.replace(/\/+$/, '') }
    return { place, authorization: basicAuthorization(name, secret) }
  } catch (error) {
    if (error instanceof URIError) throw bad('the percent-encoding is not valid UTF-8')
    throw error
  }
}

function bareAuthorization(line: string, bad: (reason: string) => BadLine): string {
  const [, token] = /^bearer +([\x21-\x7e]+)$/i.exec(line) ?? []
  if (token !== undefined) return `Bearer ${token}`
  const colon = line.indexOf(':')
  if (colon > 0 && !/\p{Cc}/u.test(line)) {
    return basicAuthorization(line.slice(0, colon), line.slice(colon + 1))
  }
  throw bad('expected USER:PASSWORD, Bearer TOKEN, or https://USER:PASSWORD@HOST')
}

/**
 * Takes the credential for an upstream from a file.
 * @param file returns the content that was read last
 */
export function credentialFromFile(
  file: () => CredentialFile,
  url: string,
  events: CredentialEvents = {},
): CredentialSource {
  const current = (): string | undefined => file().authorizationFor(url)
  let refused: string | undefined
  return {
    get: () => Promise.resolve(current()),
    rejected: (authorization) => {
      if (authorization === refused || authorization !== current()) return
      refused = authorization
      events.refused?.(url)
    },
    accepted: (authorization) => {
      if (authorization === refused) refused = undefined
    },
  }
}
