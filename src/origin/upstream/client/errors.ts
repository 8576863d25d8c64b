export { UpstreamUnavailable } from '../../faults/upstream-errors.js'

/** The upstream redirects info/refs to a place to which this client must not go (R10); the message says where and why. */
export class RedirectRefused extends Error {
  override readonly name = 'RedirectRefused'
  /** The status of the redirect. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** The upstream redirects info/refs to a place that its caller does not want it followed to. */
export class RedirectElsewhere extends RedirectRefused {
  /** Where it leads. */
  readonly to: URL

  constructor(status: number, to: URL, from: URL) {
    super(status, `${from.host} redirects to another repository, which is not followed`)
    this.to = to
  }
}

/** A request's path could lead outside the configured URL, or is not valid in a request. */
export class InvalidUpstreamPath extends Error {
  override readonly name = 'InvalidUpstreamPath'
}

/** A name resolves to no address that may be connected to, or the URL has such an address. */
export class AddressDenied extends Error {
  override readonly name = 'AddressDenied'

  constructor(host: string, address: string) {
    super(
      host === address
        ? `connections to ${address} are denied (upstream-deny)`
        : `${host} resolves to ${address}, to which connections are denied (upstream-deny)`,
    )
  }
}

/** No connection came about: no address, refused, not in time, or TLS failed. */
export class ConnectFailed extends Error {
  override readonly name = 'ConnectFailed'
}
