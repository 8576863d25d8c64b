import type { Socket } from 'node:net'
import type { StallableClient } from './stall-detector.js'

/** The undocumented handle of a socket. */
interface Handle {
  /** Bytes that were handed over, and those of them that the kernel has not taken yet. */
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
  /** For TLS: the handle of the TCP connection underneath. */
  readonly _parent?: Handle | null
}

interface SocketInternals {
  readonly _handle?: Handle | null
}

/**
 * Adapts a connection for StallDetector. A socket's own `bytesWritten` counts bytes as soon as they are handed to it, and
 * `writableLength` decreases by whole writes only: while an answer of many megabytes, handed over at once, goes out to a
 * slow client, neither changes. What does change is the queue that Node's own time-out uses (net.js, _onTimeout). If a
 * version of Node lacks it, only whole writes are seen, and a client may seem idle during a large one.
 */
export function socketClient(socket: Socket): StallableClient {
  return {
    taken() {
      const { bytesWritten, writeQueueSize } = queueOf(socket)
      if (bytesWritten === undefined || writeQueueSize === undefined) {
        return socket.bytesWritten - socket.writableLength
      }
      return bytesWritten - writeQueueSize
    },
    owed: () => socket.writableLength > 0,
  }
}

/**
 * The same for a connection of HTTP/2, which writes to the handle past the socket: only the queue tells what is owed. If a
 * version of Node lacks it, nothing seems to be.
 */
export const handleClient = (socket: Socket): StallableClient => ({
  ...socketClient(socket),
  owed: () => (queueOf(socket).writeQueueSize ?? 0) > 0,
})

function queueOf(socket: Socket): Pick<Handle, 'bytesWritten' | 'writeQueueSize'> {
  const handle = (socket as SocketInternals)._handle
  return handle?._parent ?? handle ?? {}
}
