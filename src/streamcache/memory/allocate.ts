/** Allocations of at least this many bytes get a memory mapping of their own. */
const mappedMin = 64 * 1024

/**
 * Allocates memory for bytes that are kept; its content is arbitrary. Much ordinary memory would slow down each start of
 * a process: libuv forks (uv_spawn), and fork(2) copies the page tables of all memory while the event loop stands still,
 * which takes 12 ms at 300 MB. V8 maps the memory of a resizable buffer itself, and asks the kernel to leave it out of
 * forks (madvise(2), MADV_DONTFORK).
 */
export function allocate(length: number): Buffer {
  if (length < mappedMin) return Buffer.allocUnsafeSlow(length)
  return Buffer.from(new ArrayBuffer(length, { maxByteLength: length }), 0, length)
}
