import { constants, createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import type { Server, Socket } from 'node:net'
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls'
import { allowedName, certificatesIn } from '../access/client-certificate.js'
import { linesOf } from '../access/names.js'
import { readSettingFile } from '../config/files.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'

export interface TlsFiles {
  readonly cert: string
  readonly key: string
  /** Certificates of those who sign clients' certificates; undefined: clients need none. */
  readonly clientCa: string | undefined
  /** Names of the clients that may come in; undefined: all whose certificate is good. */
  readonly clientNames: string | undefined
}

export interface TlsOptions {
  readonly files: TlsFiles
  /** Milliseconds in which a client must finish its handshake. */
  readonly handshakeMs: number
  readonly metrics: Metrics
  readonly log: Log
}

/** A TLS server before a door, and the connections that it has handed on. */
interface Front {
  readonly server: TlsServer
  readonly sockets: Set<TLSSocket>
}

/** What of the files is in force. */
export interface TlsMaterial {
  readonly context: SecureContextOptions
  readonly clients:
    { readonly authorities: readonly X509Certificate[]; readonly names: string[] | undefined } | undefined
  readonly expires: Date
}

/** The process's certificate, and who may come in with one of his own. All `tls:` addresses share it. */
export class Tls {
  readonly #options: TlsOptions
  readonly #fronts = new Set<Front>()
  readonly #names = new WeakMap<Socket, string>()
  /** Connections whose handshake is under way, by their clients' ends. */
  readonly #handshakes = new Map<string, Socket>()
  #material: TlsMaterial

  /** @throws Error if the files cannot be used */
  constructor(options: TlsOptions) {
    this.#options = options
    this.#material = readTls(options.files)
    this.#tellExpiry()
  }

  /**
   * Reads the files again. Connections that are open go on, but those of clients that could not come in any more are
   * closed, with the requests under way on them.
   * @throws Error if they cannot be used; then all stays as it was
   */
  reload(): void {
    this.#material = readTls(this.#options.files)
    this.#tellExpiry()
    for (const { server, sockets } of this.#fronts) {
      server.setSecureContext(this.#material.context)
      for (const socket of sockets) if (this.#refusal(socket) !== undefined) socket.destroy()
    }
  }

  /** The name by which the client of a connection has come in; undefined: it had no certificate to show. */
  nameOf(socket: Socket): string | undefined {
    return this.#names.get(socket)
  }

  /**
   * What takes TLS connections for a server that knows nothing of TLS, and hands them on to it as its own.
   * @param protocol what ALPN offers, as `http/1.1`
   */
  terminator(target: Server, protocol: string): Server {
    const { handshakeMs, metrics, log } = this.#options
    const server = createServer({
      ...this.#material.context,
      ALPNProtocols: [protocol],
      handshakeTimeout: handshakeMs,
      noDelay: true,
      requestCert: this.#material.clients !== undefined,
      // Who comes without a good certificate is sent away below, where it can be told why.
      rejectUnauthorized: false,
    })
    const front: Front = { server, sockets: new Set() }
    this.#fronts.add(front)
    const refused = (reason: 'handshake' | 'client', error: string | undefined, socket: Socket): void => {
      metrics.tlsRefused.inc({ reason })
      log.debug({ reason, error, remoteAddress: socket.remoteAddress }, 'a TLS connection was refused')
      socket.destroy()
    }
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) =>
      refused('handshake', error.code, socket),
    )
    server.on('connection', (socket: Socket) => {
      const end = endOf(socket)
      this.#handshakes.set(end, socket)
      socket.once('close', () => {
        if (this.#handshakes.get(end) === socket) this.#handshakes.delete(end)
      })
    })
    server.on('secureConnection', (socket) => {
      this.#handshakes.delete(endOf(socket))
      // Whoever takes it over listens for himself; until then a reset would end the program.
      socket.on('error', () => {})
      const refusal = this.#refusal(socket)
      if (refusal !== undefined) {
        refused('client', refusal, socket)
        return
      }
      front.sockets.add(socket)
      socket.once('close', () => front.sockets.delete(socket))
      target.emit('connection', socket)
    })
    // An HTTP server looks after slow and idle connections from this event on.
    server.once('listening', () => target.emit('listening'))
    server.once('close', () => this.#fronts.delete(front))
    return server
  }

  /** Ends connections that are no door's yet, so that none has to be waited for. */
  endHandshakes(): void {
    for (const socket of this.#handshakes.values()) socket.destroy()
  }

  /** Why the client of a connection may not come in; undefined: it may. */
  #refusal(socket: TLSSocket): string | undefined {
    const { clients } = this.#material
    if (!clients) return undefined
    if (!socket.authorized) return String(socket.authorizationError)
    const certificate = socket.getPeerX509Certificate()
    if (!certificate) return 'it has no certificate'
    // OpenSSL has verified it by the files that were in force when it came in.
    if (!isSignedBy(clients.authorities, certificate)) return 'its signer is not in the client CA'
    if (Date.parse(certificate.validTo) < Date.now()) return 'it has expired'
    const name = allowedName(certificate, clients.names)
    if (name === undefined) return 'its name is not among those of the allowed clients'
    this.#names.set(socket, name)
    return undefined
  }

  #tellExpiry(): void {
    this.#options.metrics.tlsExpiry.set(this.#material.expires.getTime() / 1000)
  }
}

const endOf = ({ remoteAddress, remotePort, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localPort}`

/** @throws Error that names the file if something is missing, damaged, or does not belong together */
export function readTls({ cert, key, clientCa, clientNames }: TlsFiles): TlsMaterial {
  const pem = readSettingFile(cert).toString()
  const certificates = certificatesOf(cert, pem)
  const leaf = certificates[0]!
  const ca = clientCa === undefined ? undefined : readSettingFile(clientCa).toString()
  const authorities = ca === undefined ? undefined : certificatesOf(clientCa!, ca)
  const keyPem = readSettingFile(key)
  const privateKey = privateKeyIn(key, keyPem.toString('latin1'))
  if (!leaf.checkPrivateKey(privateKey)) {
    const other = certificates.some((certificate) => certificate.checkPrivateKey(privateKey))
    const reason = other
      ? `it belongs to a later one: the server's own must come first in ${cert}`
      : 'a mismatch'
    throw new Error(`the key in ${key} does not belong to the certificate in ${cert}: ${reason}`)
  }
  const context: SecureContextOptions = {
    cert: pem,
    key: keyPem,
    // A session that goes on from an earlier one would not be verified again.
    ...(ca === undefined ? {} : { ca, secureOptions: constants.SSL_OP_NO_TICKET }),
  }
  createSecureContext(context)
  return {
    context,
    expires: new Date(leaf.validTo),
    clients:
      authorities === undefined
        ? undefined
        : {
            authorities,
            names: clientNames === undefined ? undefined : linesOf(clientNames).map(({ line }) => line),
          },
  }
}

/** @throws Error that names the file */
function certificatesOf(path: string, pem: string): X509Certificate[] {
  try {
    return certificatesIn(pem)
  } catch (error) {
    const hint = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem) ? ', but a private key' : ''
    throw new Error(`${path}: ${(error as Error).message}${hint}`, { cause: error })
  }
}

/** @throws Error that names the file and says what is in it instead, and nothing of it: it may be secret */
function privateKeyIn(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    const hint = whatIsIn(pem, (error as NodeJS.ErrnoException).code)
    throw new Error(`${path}: there is no private key in it that can be used${hint}`, { cause: error })
  }
}

function whatIsIn(pem: string, code: string | undefined): string {
  if (code === 'ERR_MISSING_PASSPHRASE' || pem.includes('ENCRYPTED')) {
    return ': it is encrypted; make one without a passphrase (openssl pkey -in FILE -out FILE)'
  }
  const [, kind] = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(pem) ?? []
  if (kind === undefined) return ': it is not PEM (-----BEGIN PRIVATE KEY-----)'
  if (kind.endsWith('PRIVATE KEY')) return ': it is damaged, or of an unknown kind'
  return `, but a ${kind.toLowerCase()}`
}

/** Is it, or who signed it, and so on upwards, among these? Not by names alone, which an authority's next key shares. */
function isSignedBy(authorities: readonly X509Certificate[], certificate: X509Certificate): boolean {
  const signed = authorities.some(
    (authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  )
  if (signed) return true
  const { issuerCertificate: signer } = certificate
  if (!signer || signer.fingerprint256 === certificate.fingerprint256) return false
  return certificate.verify(signer.publicKey) && isSignedBy(authorities, signer)
}
