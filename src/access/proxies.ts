import { LRUCache } from 'lru-cache'
import { BlockList, isIP, SocketAddress, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { parseForwarded } from './forwarded.js'
import { entriesAtMost } from '../limits/entries-at-most.js'

/** A proxy whose forwarding headers are trusted: a network, an address (all of its bits), or any peer on a Unix socket. */
export type TrustedProxy = { readonly address: string; readonly bits: number } | 'unix'

/** The other end of a connection. */
export type Peer = Pick<Socket, 'remoteAddress'> & {
  readonly encrypted?: boolean | undefined
  /** Does another proxy in front (PROXY protocol) name no client? Then nothing is known of who has written the headers. */
  readonly unnamed?: boolean | undefined
  /** A Unix socket. A peer without an address may also be a connection that is closed. */
  readonly unix?: boolean | undefined
}

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** A header to which proxies append the address of their client. */
export type ForwardingHeader = 'x-forwarded-for' | 'forwarded'

/** What proxies say, in the order in which they have appended it; a value that one has left out is undefined. */
interface Said {
  readonly clients: (string | undefined)[]
  readonly schemes: readonly (string | undefined)[]
  readonly hosts: readonly (string | undefined)[]
}

const inXForwarded = (headers: Headers): Said => ({
  clients: listed(headers['x-forwarded-for']),
  schemes: listed(headers['x-forwarded-proto']),
  hosts: listed(headers['x-forwarded-host']),
})

function inForwarded({ forwarded = '' }: Headers): Said {
  const elements = parseForwarded([forwarded].flat().join(',')) ?? []
  const values = (name: string) => elements.map((element) => element.get(name))
  return { clients: values('for'), schemes: values('proto'), hosts: values('host') }
}

/** The client of a request, by its connection and by what trusted proxies report. */
export interface Client {
  /** In canonical form, an IPv4 address never as IPv6; undefined: it has none, or its connection is closed. */
  readonly address: string | undefined
  /** The other end of the connection, in the same form; undefined: it has no address. */
  readonly peer: string | undefined
  /** The client's address, then those of the trusted proxies on the way; the last is the connection's peer. */
  readonly route: readonly string[]
  readonly scheme: 'http' | 'https'
  /** The host that the client requested, perhaps with a port; undefined: it is not known, or not valid. */
  readonly host: string | undefined
}

/**
 * The proxies in front whose forwarding headers are trusted; those of other peers are ignored.
 *
 * Each proxy appends the address of its own client to X-Forwarded-For, or to `Forwarded` (RFC 7239). So the entries are true
 * from the end up to the first address that is not a trusted proxy: the client. The client itself may have written the
 * entries before that. Only the one header is read that the proxies are said to write: a proxy passes on the other one as
 * a client has written it.
 */
export class TrustedProxies {
  readonly #list = new BlockList()
  /** Caches `check`, which takes microseconds, for the addresses used last. */
  readonly #trusted = new LRUCache<string, boolean>({
    ...entriesAtMost(10_000),
    memoMethod: (address) => this.#list.check(address, familyOf(address)),
  })
  readonly #unix: boolean
  readonly #none: boolean
  readonly #header: ForwardingHeader

  /** @param header the one that the proxies write */
  constructor(proxies: readonly TrustedProxy[], header: ForwardingHeader = 'x-forwarded-for') {
    this.#header = header
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
    if (this.#none || !this.trusts(peer)) return new DirectClient(last, scheme, headers)
    const said = this.#header === 'forwarded' ? inForwarded(headers) : inXForwarded(headers)
    let [address, hops] = [last, 0]
    const route = last === undefined ? [] : [last]
    for (const entry of said.clients.reverse()) {
      const found = entry === undefined ? undefined : addressIn(entry)
      // A proxy that does not know its client's address counts as the client.
      if (found === undefined) break
      address = found
      hops++
      route.unshift(found)
      if (!this.#trusts(found)) break
    }
    // The value of the first proxy on the way, if all have appended to the list; if it has left it out, no other counts.
    const back = Math.max(hops, 1)
    const first = (values: readonly (string | undefined)[]): string | undefined =>
      values.length < back ? values[0] : values.at(-back)
    const proto = first(said.schemes)?.toLowerCase()
    return {
      address,
      peer: last,
      route,
      scheme: proto === 'http' || proto === 'https' ? proto : scheme,
      host: hostIn(first(said.hosts)) ?? hostIn(one(headers['host'])),
    }
  }

  /** Returns whether the other end of a connection is a proxy whose headers are trusted. */
  trusts(peer: Peer): boolean {
    if (peer.unnamed) return false
    const address = peerAddress(peer.remoteAddress)
    return address === undefined ? peer.unix === true && this.#unix : this.#trusts(address)
  }

  #trusts(address: string): boolean {
    return this.#trusted.memo(address)
  }
}

/** A client without a trusted proxy in front of it. Few requests need more than its address: the rest is computed when it is read. */
class DirectClient implements Client {
  readonly address: string | undefined
  readonly scheme: 'http' | 'https'
  readonly #headers: Headers

  constructor(address: string | undefined, scheme: 'http' | 'https', headers: Headers) {
    this.address = address
    this.scheme = scheme
    this.#headers = headers
  }

  get peer(): string | undefined {
    return this.address
  }

  get route(): readonly string[] {
    return this.address === undefined ? [] : [this.address]
  }

  get host(): string | undefined {
    return hostIn(one(this.#headers['host']))
  }
}

/** What a proxy has said of a connection before its first byte (PROXY protocol). */
interface ReportedPeer {
  /** undefined: it names no client. */
  readonly address: string | undefined
}

const reportedPeer = Symbol('reported peer')
type Reported = Socket & { [reportedPeer]?: ReportedPeer | undefined }

/** Records the client that a proxy has named for a connection, in place of the other end. @param address undefined: none */
export function setReportedPeer(socket: Socket, address: string | undefined): void {
  ;(socket as Reported)[reportedPeer] = { address }
}

/** Has a connection inherit the client from the one that carries it. */
export function copyReportedPeer(from: Socket, to: Socket): void {
  const reported = (from as Reported)[reportedPeer]
  if (reported) (to as Reported)[reportedPeer] = reported
}

/** Returns the peer of a connection. @param unix was it accepted on a Unix socket? */
export function peerOf(socket: Socket, unix = false): Peer {
  const reported = (socket as Reported)[reportedPeer]
  return {
    remoteAddress: reported?.address ?? socket.remoteAddress,
    encrypted: (socket as Partial<TLSSocket>).encrypted,
    unnamed: reported && reported.address === undefined,
    unix,
  }
}

/**
 * Parses an entry of X-Forwarded-For: an address, perhaps with a port; an IPv6 address with a port is in brackets.
 * @returns the address in canonical form: IPv4 in IPv6 as IPv4, the rest by RFC 5952, and without a zone, which has no meaning
 * on another machine; undefined: it is not an address
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

/** The system's form is canonical except for the zone and the prefix of IPv4 in IPv6. */
const peerAddress = (address: string | undefined): string | undefined =>
  address && withoutPrefix(address.includes('%') ? address.replace(/%.*/s, '') : address)

const familyOf = (address: string): 'ipv4' | 'ipv6' => (address.includes(':') ? 'ipv6' : 'ipv4')

/** Returns the items of a list, which may be spread over several header fields. */
const listed = (value: string | string[] | undefined): string[] =>
  value === undefined ? [] : [value].flat().join(',').split(',')

const one = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined

/** Longest host name and port, in characters. */
const hostMax = 261

/** Returns a host, perhaps with a port, as in a URL (RFC 3986, section 3.2); undefined if it is not valid. */
function hostIn(value: string | undefined): string | undefined {
  const host = value?.trim() ?? ''
  return host.length <= hostMax && /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host) ? host : undefined
}
