import { createServer, type Server, type Socket } from 'node:net'
import { peerOf, setReportedPeer, type TrustedProxies } from '../../access/proxies.js'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'
import { parseProxyHeader, type ProxyHeader } from './header.js'

export interface ProxyProtocolOptions {
  readonly proxies: TrustedProxies
  /** Do the proxies connect to a Unix socket? */
  readonly unix: boolean
  /** Milliseconds in which the header must come. */
  readonly headerMs: number
  readonly metrics: Metrics
  readonly log: Log
}

type Refusal = 'malformed' | 'incomplete' | 'late'

/**
 * Reads the header of the PROXY protocol from the connections of trusted proxies, all of which must have one, and passes the
 * connections on with the client's address. Connections of others are passed on unread: whether there is a header must not
 * be guessed from the bytes, which a client may choose.
 */
export class ProxyProtocol {
  readonly #options: ProxyProtocolOptions
  /** Connections whose header has not come yet. */
  readonly #waiting = new Set<Socket>()

  constructor(options: ProxyProtocolOptions) {
    this.#options = options
  }

  /**
   * Makes a server that passes connections to a server which does not know of the protocol.
   * @param allowHalfOpen as the target has it for connections that it accepts itself
   */
  inFrontOf(target: Server, allowHalfOpen: boolean): Server {
    const { proxies, unix } = this.#options
    const server = createServer({ noDelay: true, allowHalfOpen }, (socket) => {
      if (proxies.trusts(peerOf(socket, unix))) this.#read(socket, target)
      else target.emit('connection', socket)
    })
    // An HTTP server starts its checks for slow and idle connections at this event; a TLS server passes it on.
    server.once('listening', () => target.emit('listening'))
    server.once('close', () => target.close())
    return server
  }

  /** Closes connections that have not been passed on yet, so that a shutdown does not wait for them. */
  endWaiting(): void {
    for (const socket of this.#waiting) socket.destroy()
  }

  #read(socket: Socket, target: Server): void {
    let bytes = Buffer.alloc(0)
    const end = (): void => {
      clearTimeout(timer)
      this.#waiting.delete(socket)
      socket.off('readable', read).off('end', cut).off('close', cut)
    }
    const refuse = (reason: Refusal, error?: unknown): void => {
      end()
      socket.destroy()
      const { metrics, log } = this.#options
      metrics.proxyHeadersRefused.inc({ reason })
      const fields = { reason, error: (error as Error | undefined)?.message }
      log.debug(
        { ...fields, remoteAddress: socket.remoteAddress },
        'connection without a PROXY header rejected',
      )
    }
    const read = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk; chunk = socket.read() as Buffer | null) {
        bytes = Buffer.concat([bytes, chunk])
        let header: ProxyHeader | undefined
        try {
          header = parseProxyHeader(bytes)
        } catch (error) {
          refuse('malformed', error)
          return
        }
        if (!header) continue
        end()
        setReportedPeer(socket, header.source)
        if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
        target.emit('connection', socket)
        return
      }
    }
    const cut = (): void => {
      if (bytes.length > 0) refuse('incomplete')
      else {
        // A proxy checks whether this process listens.
        end()
        socket.destroy()
      }
    }
    const timer = setTimeout(() => refuse('late'), this.#options.headerMs)
    this.#waiting.add(socket)
    // The target adds its own listener later; without one, a reset until then would end the program.
    socket.on('error', () => {})
    socket.on('readable', read).on('end', cut).on('close', cut)
  }
}
