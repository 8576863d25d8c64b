import { lookup as systemLookup, type LookupAddress, type LookupAllOptions } from 'node:dns'
import type { BlockList, LookupFunction } from 'node:net'
import { blockListOf, isIn, networksOf, type Network } from '../../../config/values/networks.js'
import { AddressDenied } from './errors.js'

/** Resolves a name to all its addresses, like `dns.lookup` with `all`. */
export type Resolve = (
  host: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

/** Addresses to which no connection may be made. */
export class AddressRules {
  readonly #denied: BlockList

  /**
   * @param denied `loopback`, `link-local`, `private`, addresses, or networks such as `10.1.0.0/16`
   * @throws RangeError that names an entry that is none of these
   */
  constructor(denied: readonly string[]) {
    this.#denied = blockListOf(denied.flatMap(networksOrThrow))
  }

  /** Is this an IP address to which no connection may be made? An IPv4-mapped IPv6 address counts as the IPv4 address. */
  denies(address: string): boolean {
    const [bare = ''] = address.split('%')
    return isIn(this.#denied, bare)
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

function networksOrThrow(entry: string): readonly Network[] {
  const networks = networksOf(entry)
  if (networks) return networks
  throw new RangeError(`${entry} is neither loopback, link-local, private, an address nor a network`)
}
