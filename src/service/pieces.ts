/** Cuts a chunk into pieces, each of as many bytes as `size` says then: views, without copying. */
export function* pieces(chunk: Buffer, size: () => number): Generator<Buffer> {
  for (let at = 0; at < chunk.length;) {
    const piece = chunk.subarray(at, at + size())
    at += piece.length
    yield piece
  }
}
