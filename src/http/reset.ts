import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** What Node keeps to itself of a TLS connection: the TCP connection that carries it. */
interface Inside {
  readonly _handle?: { readonly _parentWrap?: Socket } | null
}

/**
 * Resets a connection. Only TCP can: a TLS socket's own `resetAndDestroy` throws. Should a Node not have the connection
 * under it, it ends without TLS's own end, which is an error too (RFC 8446, section 6.1), though some clients do not look.
 */
export function reset(socket: Socket): void {
  const carrier = socket instanceof TLSSocket ? (socket as Inside)._handle?._parentWrap : socket
  if (carrier) carrier.resetAndDestroy()
  else socket.destroy()
}
