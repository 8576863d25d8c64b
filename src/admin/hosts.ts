import type { IncomingMessage } from 'node:http'
import { isIP, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** Names that always mean the machine itself (RFC 6761, section 6.3). */
const localName = /^(?:.+\.)?localhost$/

/**
 * Protects loopback addresses against DNS rebinding. The name of a web page's server can be made to resolve to a loopback
 * address; the browser then lets the page send requests there and read the responses, but names that server in `Host`. So
 * only known names are accepted, and addresses, which cannot be rebound. Not checked are Unix sockets, which browsers
 * cannot reach, TLS, where the certificate verifies the name, and other addresses than loopback, which need a token.
 */
export class Hosts {
  readonly #names: ReadonlySet<string>

  /** @param names accepted besides `localhost` */
  constructor(names: readonly string[]) {
    this.#names = new Set(names.map(normal))
  }

  /** Returns why a request is rejected for the host that it names; undefined: it is accepted. */
  rejection({ socket, headersDistinct }: IncomingMessage): string | undefined {
    if (!isLoopback(socket) || (socket as Partial<TLSSocket>).encrypted) return undefined
    const { host: [given, ...more] = [] } = headersDistinct
    // Old programs send no Host header; browsers always do.
    if (given === undefined) return undefined
    const host = hostIn(given)
    const isKnown = host !== undefined && (isIP(host) !== 0 || localName.test(host) || this.#names.has(host))
    if (isKnown && more.length === 0) return undefined
    return `unknown host ${JSON.stringify(given)}: use localhost, or start refstream with --admin-hosts NAME`
  }
}

/** Looks at the local end of a connection, which has no address on a Unix socket. */
function isLoopback({ localAddress = '' }: Socket): boolean {
  return localAddress === '::1' || /^(?:::ffff:)?127\./.test(localAddress)
}

/** Returns the host of a Host header without its port (RFC 9110, section 7.2); undefined: it is not valid. */
function hostIn(value: string): string | undefined {
  const [, address, name] = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::\d*)?$/.exec(value.trim()) ?? []
  // An IPv6 address without brackets is not valid, but cannot be rebound either.
  const host = address ?? name ?? (isIP(value.trim()) === 0 ? undefined : value.trim())
  return host && normal(host)
}

/** Host names are compared without regard to case and to the dot of the root. */
const normal = (name: string): string => name.toLowerCase().replace(/\.$/, '')
