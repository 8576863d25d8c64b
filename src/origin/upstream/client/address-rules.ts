import { lookup as systemLookup, type LookupAddress, type LookupAllOptions } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { AddressDenied } from './errors.js'

/**
 * The networks behind a name in the deny list. `loopback` has the unspecified addresses too: Linux connects those to this
 * host. `private`: RFC 1918, RFC 4193, and the shared address space of RFC 6598.
 */
const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '0.0.0.0/8', '::1', '::'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'],
}

/** Resolves a name to all its addresses, like `dns.lookup` with `all`. */
export type Resolve = (
  host: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

/** Addresses to which no connection may be made. */
export class AddressRules {
  readonly #denied = new BlockList()

  /**
   * @param denied `loopback`, `link-local`, `private`, addresses, or networks such as `10.1.0.0/16`
   * @throws RangeError that names an entry that is none of these
   */
  constructor(denied: readonly string[]) {
    for (const network of denied.flatMap((entry) => named[entry] ?? [entry])) this.#add(network)
  }

  #add(network: string): void {
    const [address = '', length, ...rest] = network.split('/')
    const family = isIP(address)
    const bits = length === undefined ? undefined : Number(/^\d{1,3}$/.test(length) ? length : NaN)
    if (family === 0 || rest.length > 0 || !(bits === undefined || bits <= (family === 4 ? 32 : 128)))
      throw new RangeError(`${network} is neither loopback, link-local, private, an address nor a network`)
    if (bits === undefined) this.#denied.addAddress(address, `ipv${family as 4 | 6}`)
    else this.#denied.addSubnet(address, bits, `ipv${family as 4 | 6}`)
  }

  /** Is this an IP address to which no connection may be made? An IPv4-mapped IPv6 address counts as the IPv4 address. */
  denies(address: string): boolean {
    const [bare = ''] = address.split('%')
    const family = isIP(bare)
    return family !== 0 && this.#denied.check(bare, `ipv${family as 4 | 6}`)
  }

  /** @throws AddressDenied if the host of a URL is a denied address; names are checked when they are resolved */
  check(url: URL): void {
    const address = url.hostname.replace(/^\[|\]$/g, '')
    if (this.denies(address)) throw new AddressDenied(address, address)
  }

  /**
   * Returns a `lookup` for sockets that leaves out denied addresses, so that the address that was checked is the one that
   * is connected to. It fails with AddressDenied if none is left.
   */
  lookup(resolve: Resolve = systemLookup): LookupFunction {
    return (host, options, callback) => {
      resolve(host, { ...options, all: true }, (error, addresses) => {
        if (error) return callback(error, [])
        const allowed = addresses.filter(({ address }) => !this.denies(address))
        const [first] = allowed
        if (!first) return callback(new AddressDenied(host, addresses[0]?.address ?? 'no address'), [])
        if (options.all) callback(null, allowed)
        else callback(null, first.address, first.family)
      })
    }
  }
}
