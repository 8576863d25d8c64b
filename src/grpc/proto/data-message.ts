/** A message whose only field is `bytes data = 1`. */
export interface DataMessage {
  readonly data: Buffer
}

/** Field 1, length-delimited (protobuf, "Encoding"). */
const tag = 0x0a

/**
 * A DataMessage on the wire, for grpc-js, which asks only for its length and then copies it behind the head of a frame. So
 * an advertisement’s bytes are copied once, and not twice.
 */
export function encodeData({ data }: DataMessage): Buffer {
  const head = [tag]
  let length = data.length
  for (; length > 0x7f; length >>>= 7) head.push((length & 0x7f) | 0x80)
  head.push(length)
  const encoded: Pick<Buffer, 'byteLength' | 'copy'> = {
    byteLength: head.length + data.length,
    copy: (target, at = 0) => {
      target.set(head, at)
      return head.length + data.copy(target, at + head.length)
    },
  }
  return encoded as Buffer
}
