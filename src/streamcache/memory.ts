/** From so many bytes on it is worth a mapping of its own. */
const mappedMin = 64 * 1024

/**
 * Memory for bytes that stay, with anything in it. Where there is much of it, each start of a process would suffer: libuv
 * forks (uv_spawn), and fork(2) copies the page tables of all memory while the event loop stands still, which takes 12 ms
 * at 300 MB. V8 maps the memory of a resizable buffer itself, and asks the kernel to leave it out (madvise(2),
 * MADV_DONTFORK).
 */
export function allocate(length: number): Buffer {
  if (length < mappedMin) return Buffer.allocUnsafeSlow(length)
  return Buffer.from(new ArrayBuffer(length, { maxByteLength: length }), 0, length)
}
