import type { Socket } from 'node:net'
import type { StallableClient } from './stall-detector.js'

/** What Node keeps to itself of a connection. */
interface Handle {
  /** Bytes that it was given, and those of them that the kernel has not taken. */
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
  /** Of a TLS connection: the one that carries it. */
  readonly _parent?: Handle | null
}

interface Inside {
  readonly _handle?: Handle | null
}

/**
 * A connection as a client to watch. A socket's own `bytesWritten` counts bytes as soon as they are handed to it, and
 * `writableLength` goes down by whole writes only: while an answer of many megabytes, handed over at once, goes out to a
 * slow client, both stand still. What moves is the queue that Node's own time-out looks at (net.js, _onTimeout). Should a
 * Node not have it, whole writes are seen, and a client may look idle during a large one.
 */
export function socketClient(socket: Socket): StallableClient {
  return {
    taken() {
      const handle = (socket as Inside)._handle
      const { bytesWritten, writeQueueSize } = handle?._parent ?? handle ?? {}
      if (bytesWritten === undefined || writeQueueSize === undefined) {
        return socket.bytesWritten - socket.writableLength
      }
      return bytesWritten - writeQueueSize
    },
    owed: () => socket.writableLength > 0,
  }
}
