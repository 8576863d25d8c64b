import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** Node's private state of a TLS connection: the TCP connection that carries it. */
interface Internals {
  readonly _handle?: { readonly _parentWrap?: Socket } | null
}

/** Returns the connection that carries a TLS connection, or a connection itself; undefined: this version of Node does not tell. */
export const carrierOf = (socket: Socket): Socket | undefined =>
  socket instanceof TLSSocket ? (socket as Internals)._handle?._parentWrap : socket

/**
 * Resets a connection. Only TCP can: on other sockets `resetAndDestroy` throws. If this version of Node does not have the TCP
 * connection of a TLS socket there, the connection ends without TLS's close_notify, which is an error too (RFC 8446,
 * section 6.1), though some clients ignore it. A Unix socket just ends: Git then misses the flush packet.
 */
export function reset(socket: Socket): void {
  const carrier = carrierOf(socket)
  // Only a TCP connection has a port.
  if (carrier?.remotePort !== undefined) carrier.resetAndDestroy()
  else socket.destroy()
}
