import type { X509Certificate } from 'node:crypto'
import type { Server, Socket } from 'node:net'
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import { allowedName } from '../access/client-certificate.js'
import { copyReportedPeer, setReportedPeer } from '../access/proxies.js'
import { carrierOf } from '../http/reset.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { CertificateExpiry } from './certificate-expiry.js'
import { readTlsMaterial, type TlsFiles, type TlsMaterial } from './tls-material.js'

export interface TlsTerminatorOptions {
  readonly files: TlsFiles
  /** Time limit of a handshake in milliseconds. */
  readonly handshakeMs: number
  /** Are there connections on which a proxy names the client before the handshake? */
  readonly isProxied?: boolean
  readonly certificates: CertificateExpiry
  readonly metrics: Metrics
  readonly log: Log
}

/** A protocol that ALPN offers beside that of the server behind. */
export interface PreferredProtocol {
  /** By its registered name, such as `h2`. */
  readonly name: string
  readonly accept: (socket: TLSSocket) => void
}

/** A TLS server in front of another server, and the connections that it has passed on. */
interface Front {
  readonly server: TlsServer
  readonly sockets: Set<TLSSocket>
}

/** Terminates TLS for all `tls:` addresses, with one certificate, and verifies client certificates. */
export class TlsTerminator {
  readonly #options: TlsTerminatorOptions
  readonly #fronts = new Set<Front>()
  readonly #names = new WeakMap<Socket, string>()
  /** Connections whose handshake is under way, by the addresses of both ends. */
  readonly #handshakes = new Map<string, Socket>()
  #material: TlsMaterial

  /** @throws Error if the files cannot be used */
  constructor(options: TlsTerminatorOptions) {
    this.#options = options
    this.#material = readTlsMaterial(options.files)
    this.#recordExpiry()
  }

  /**
   * Reads the files again. Open connections stay open, except those of clients that would be rejected now: they are
   * closed, with the requests under way on them.
   * @throws Error if the files cannot be used; then nothing changes
   */
  reload(): void {
    this.#material = readTlsMaterial(this.#options.files)
    this.#recordExpiry()
    for (const { server, sockets } of this.#fronts) {
      server.setSecureContext(this.#material.context)
      for (const socket of sockets) if (this.#rejection(socket) !== undefined) socket.destroy()
    }
  }

  /** Returns the name that a client's certificate was accepted for; undefined: it has presented no certificate. */
  nameOf(socket: Socket): string | undefined {
    return this.#names.get(socket)
  }

  /**
   * Makes a server that accepts TLS connections and passes them to a server that does not know of TLS.
   * @param protocol what ALPN offers, such as `http/1.1`
   * @param preferred what takes connections whose clients choose another protocol, which ALPN offers before that
   */
  inFrontOf(target: Server, protocol: string, preferred?: PreferredProtocol): Server {
    const { handshakeMs, metrics, log } = this.#options
    const server = createServer({
      ...this.#material.context,
      ALPNProtocols: preferred ? [preferred.name, protocol] : [protocol],
      handshakeTimeout: handshakeMs,
      noDelay: true,
      requestCert: this.#material.clients !== undefined,
      // Clients without a valid certificate are rejected below, where the reason is known.
      rejectUnauthorized: false,
    })
    const front: Front = { server, sockets: new Set() }
    this.#fronts.add(front)
    const reject = (reason: 'handshake' | 'client', error: string | undefined, socket: Socket): void => {
      metrics.tlsRefused.inc({ reason })
      log.debug({ reason, error, remoteAddress: socket.remoteAddress }, 'TLS connection rejected')
      socket.destroy()
    }
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) =>
      reject('handshake', error.code, socket),
    )
    server.on('connection', (socket: Socket) => {
      const ends = endsOf(socket)
      this.#handshakes.set(ends, socket)
      socket.once('close', () => {
        if (this.#handshakes.get(ends) === socket) this.#handshakes.delete(ends)
      })
    })
    server.on('secureConnection', (socket) => {
      this.#handshakes.delete(endsOf(socket))
      // The target adds its own listener later; without one, a reset until then would end the program.
      socket.on('error', () => {})
      const rejection = this.#rejection(socket)
      if (rejection !== undefined) {
        reject('client', rejection, socket)
        return
      }
      this.#inheritPeer(socket)
      front.sockets.add(socket)
      socket.once('close', () => front.sockets.delete(socket))
      if (preferred && socket.alpnProtocol === preferred.name) preferred.accept(socket)
      else target.emit('connection', socket)
    })
    // An HTTP server starts its checks for slow and idle connections at this event.
    server.once('listening', () => target.emit('listening'))
    server.once('close', () => this.#fronts.delete(front))
    return server
  }

  /** Closes connections that have not been passed on yet, so that a shutdown does not wait for them. */
  endHandshakes(): void {
    for (const socket of this.#handshakes.values()) socket.destroy()
  }

  /** Returns why the client of a connection is rejected; undefined: it is accepted, and its name is recorded. */
  #rejection(socket: TLSSocket): string | undefined {
    const { clients } = this.#material
    if (!clients) return undefined
    if (!socket.authorized) return String(socket.authorizationError)
    const certificate = socket.getPeerX509Certificate()
    if (!certificate) return 'it has no certificate'
    // OpenSSL has verified the certificate by the files that were in force when the connection was made.
    if (!isSignedBy(clients.authorities, certificate)) return 'its signer is not in the client CA'
    if (Date.parse(certificate.validTo) < Date.now()) return 'it has expired'
    const name = allowedName(certificate, clients.names)
    if (name === undefined) return 'its name is not among those of the allowed clients'
    this.#names.set(socket, name)
    return undefined
  }

  /** Takes over the client that a proxy has named before the handshake (proxy-protocol/). */
  #inheritPeer(socket: TLSSocket): void {
    const carrier = carrierOf(socket)
    if (carrier) copyReportedPeer(carrier, socket)
    else if (this.#options.isProxied) setReportedPeer(socket, undefined)
  }

  #recordExpiry(): void {
    const { certificates } = this.#options
    const { cert, ca } = this.#material.context
    certificates.record('tls-cert', cert)
    if (ca !== undefined) certificates.record('tls-client-ca', ca)
  }
}

const endsOf = ({ remoteAddress, remotePort, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localPort}`

/**
 * Returns whether a certificate, its signer, or a signer further up is among these authorities. Compares signatures, since
 * an authority's next key has the same name.
 */
function isSignedBy(authorities: readonly X509Certificate[], certificate: X509Certificate): boolean {
  const signed = authorities.some(
    (authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  )
  if (signed) return true
  const { issuerCertificate: signer } = certificate
  if (!signer || signer.fingerprint256 === certificate.fingerprint256) return false
  return certificate.verify(signer.publicKey) && isSignedBy(authorities, signer)
}
