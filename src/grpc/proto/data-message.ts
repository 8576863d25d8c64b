/** A message whose only field is `bytes data = 1`. */
export interface DataMessage {
  readonly data: Buffer
}

/** Field 1, length-delimited (protobuf, "Encoding"). */
const tag = 0x0a

/**
 * Encodes a DataMessage for grpc-js, which only reads its length and then copies it behind the head of a frame: so the
 * bytes of an advertisement are copied once, and not twice.
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
