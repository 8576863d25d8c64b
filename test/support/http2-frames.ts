import type { Socket } from 'node:net'

/** What a client of HTTP/2 sends first (RFC 9113, section 3.4), with settings. */
export const preface = (settings: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(types.settings, 0, 0, settings)])

const types = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, continuation: 9 }
const typeNames = new Map(Object.entries(types).map(([name, type]) => [type, name]))
export const endStream = 1
export const endHeaders = 4

/** A frame as it goes over the wire: clients of Node send no malformed ones. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export type Fields = readonly (readonly [string, string])[]

/** Fields as literals without Huffman coding and index (RFC 7541, section 6.2.2), each shorter than 127 bytes. */
const block = (fields: Fields): Buffer =>
  Buffer.concat([
    ...fields.flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name, 'latin1'),
      Buffer.from([value.length]),
      Buffer.from(value, 'latin1'),
    ]),
  ])

export const headers = (fields: Fields, flags = endStream | endHeaders, stream = 1): Buffer =>
  frame(types.headers, flags, stream, block(fields))
export const data = (bytes: string | Buffer, flags = 0, stream = 1): Buffer =>
  frame(types.data, flags, stream, Buffer.from(bytes))
export const ping = (): Buffer => frame(types.ping, 0, 0, Buffer.alloc(8))
export const settings = (): Buffer => frame(types.settings, 0, 0, Buffer.alloc(0))

/** A frame that has come. */
export interface Frame {
  readonly type: string
  readonly stream: number
  readonly flags: number
  readonly payload: Buffer
}

/** Collects the frames that come on a connection, of the types above. */
export function framesOf(socket: Socket): readonly Frame[] {
  const frames: Frame[] = []
  let unread = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk])
    for (;;) {
      if (unread.length < 9) return
      const end = 9 + unread.readUIntBE(0, 3)
      if (unread.length < end) return
      const type = typeNames.get(unread.readUInt8(3))
      const [flags, stream] = [unread.readUInt8(4), unread.readUInt32BE(5)]
      if (type) frames.push({ type, flags, stream, payload: unread.subarray(9, end) })
      unread = unread.subarray(end)
    }
  })
  return frames
}
