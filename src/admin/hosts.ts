import type { IncomingMessage } from 'node:http'
import { isIP, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** Names of the machine itself, which no name server is asked for (RFC 6761, section 6.3). */
const localName = /^(?:.+\.)?localhost$/

/**
 * Which hosts requests to a loopback address may name. A web page's own name can be made to mean this address (DNS
 * rebinding): the browser then lets the page ask here and read the answers, but says that name in `Host`. An address cannot
 * be made to mean another. Unix sockets no browser reaches; with TLS, the certificate says the name; and on other addresses
 * than loopback a token is asked for.
 */
export class Hosts {
  readonly #names: ReadonlySet<string>

  /** @param names that this address has besides `localhost` */
  constructor(names: readonly string[]) {
    this.#names = new Set(names.map(normal))
  }

  /** Why a request is refused for the host that it names; undefined: it is not. */
  refusal({ socket, headersDistinct }: IncomingMessage): string | undefined {
    if (!isLoopback(socket) || (socket as Partial<TLSSocket>).encrypted) return undefined
    const { host: [given, ...more] = [] } = headersDistinct
    // Only old programs say none; no browser does.
    if (given === undefined) return undefined
    const host = hostIn(given)
    const isKnown = host !== undefined && (isIP(host) !== 0 || localName.test(host) || this.#names.has(host))
    if (isKnown && more.length === 0) return undefined
    return `this address does not go by the name ${JSON.stringify(given)}: ask for localhost, or start with --admin-hosts NAME`
  }
}

/** The machine's own end of a connection; it has no address on a Unix socket. */
function isLoopback({ localAddress = '' }: Socket): boolean {
  return localAddress === '::1' || /^(?:::ffff:)?127\./.test(localAddress)
}

/** The host of a Host header, without its port (RFC 9110, section 7.2); undefined: it is none. */
function hostIn(value: string): string | undefined {
  const [, address, name] = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::\d*)?$/.exec(value.trim()) ?? []
  // Written without its brackets, an IPv6 address is still none that could mean another.
  const host = address ?? name ?? (isIP(value.trim()) === 0 ? undefined : value.trim())
  return host && normal(host)
}

/** Names are the same in upper case, and with the dot of the root. */
const normal = (name: string): string => name.toLowerCase().replace(/\.$/, '')
