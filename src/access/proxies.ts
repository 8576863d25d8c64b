import { LRUCache } from 'lru-cache'
import { BlockList, isIP, SocketAddress, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** Who is trusted to say for whom it asks: a network, an address (all of its bits), or whoever comes by a Unix socket. */
export type TrustedProxy = { readonly address: string; readonly bits: number } | 'unix'

/** The other end of a connection. */
export type Peer = Pick<Socket, 'remoteAddress'> & {
  readonly encrypted?: boolean | undefined
  /** Is it a Unix socket? Without an address, a connection may also have gone. */
  readonly unix?: boolean | undefined
}

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** Whom a request comes from, as far as somebody trusted has said. */
export interface Client {
  /** In one form: an IPv4 address never as IPv6; undefined: it has none, or its connection has gone. */
  readonly address: string | undefined
  /** The client's address, then those of the trusted proxies on the way, the last of them at the other end. */
  readonly route: readonly string[]
  readonly scheme: 'http' | 'https'
  /** What the client took the server for: a host, perhaps with a port; undefined: nobody says, or it is no host. */
  readonly host: string | undefined
}

/**
 * The proxies in front that are trusted to say for whom they ask. Of what others say nothing is believed.
 *
 * Each proxy adds to X-Forwarded-For whom it was asked by. So from the end on, what trusted ones say is true, up to the
 * first address that is not of them: the client. What stands before is the client's own word. The `Forwarded` header (RFC
 * 7239) is not read: a proxy that knows nothing of it hands on what a client has put there.
 */
export class TrustedProxies {
  readonly #list = new BlockList()
  /** What the list says, which takes microseconds, of the addresses seen last. */
  readonly #trusted = new LRUCache<string, boolean>({
    max: 10_000,
    memoMethod: (address) => this.#list.check(address, familyOf(address)),
  })
  readonly #unix: boolean
  readonly #none: boolean

  constructor(proxies: readonly TrustedProxy[]) {
    this.#unix = proxies.includes('unix')
    this.#none = proxies.length === 0
    for (const proxy of proxies) {
      if (proxy !== 'unix') this.#list.addSubnet(proxy.address, proxy.bits, familyOf(proxy.address))
    }
  }

  /** @param headers of the request, names in lower case */
  clientOf(peer: Peer, headers: Headers): Client {
    const last = peerAddress(peer.remoteAddress)
    const scheme = peer.encrypted ? 'https' : 'http'
    const ends = last === undefined ? [] : [last]
    if (this.#none || !(last === undefined ? peer.unix && this.#unix : this.#trusts(last)))
      return { address: last, route: ends, scheme, host: hostIn(one(headers['host'])) }
    const said = listed(headers['x-forwarded-for'])
    let [address, hops] = [last, 0]
    const route = [...ends]
    for (const entry of said.reverse()) {
      const found = addressIn(entry)
      // A proxy that does not know by whom it was asked stands for the client.
      if (found === undefined) break
      address = found
      hops++
      route.unshift(found)
      if (!this.#trusts(found)) break
    }
    // What the first proxy on the way has said, if all have added to the list.
    const first = (values: string[]): string | undefined => values.at(-Math.max(hops, 1)) ?? values[0]
    const proto = first(listed(headers['x-forwarded-proto']))?.toLowerCase()
    return {
      address,
      route,
      scheme: proto === 'http' || proto === 'https' ? proto : scheme,
      host: hostIn(first(listed(headers['x-forwarded-host']))) ?? hostIn(one(headers['host'])),
    }
  }

  #trusts(address: string): boolean {
    return this.#trusted.memo(address)
  }
}

/** A connection as the other end of which a client or a proxy is. */
export const peerOf = (socket: Socket): Peer => ({
  remoteAddress: socket.remoteAddress,
  encrypted: (socket as Partial<TLSSocket>).encrypted,
})

/**
 * Reads an entry of X-Forwarded-For: an address, perhaps with a port, then IPv6 in brackets. In one form: IPv4 in IPv6 as
 * IPv4, the rest as RFC 5952 says, and no zone, which means nothing on another machine. undefined: it is none.
 */
export function addressIn(entry: string): string | undefined {
  const [, bracketed, plain] =
    /^\s*(?:\[([^[\]]*)\](?::\d{1,5})?|([\d.]+)(?::\d{1,5})?)\s*$/.exec(entry) ?? []
  return canonical(bracketed ?? plain ?? entry.trim())
}

function canonical(text: string): string | undefined {
  const version = isIP(text)
  if (version === 0) return undefined
  if (version === 4) return text
  const { address } = new SocketAddress({ address: text.replace(/%.*/s, ''), family: 'ipv6' })
  return withoutPrefix(address)
}

const withoutPrefix = (address: string): string =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address

/** The system's form is canonical but for these. */
const peerAddress = (address: string | undefined): string | undefined =>
  address && withoutPrefix(address.replace(/%.*/s, ''))

const familyOf = (address: string): 'ipv4' | 'ipv6' => (address.includes(':') ? 'ipv6' : 'ipv4')

/** The items of a list, which may be in several fields. */
const listed = (value: string | string[] | undefined): string[] =>
  value === undefined ? [] : [value].flat().join(',').split(',')

const one = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined

/** A host and perhaps a port, as in a URL (RFC 3986, section 3.2); no longer than names are. */
function hostIn(value: string | undefined): string | undefined {
  const host = value?.trim() ?? ''
  return host.length <= 261 && /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host) ? host : undefined
}
