import { constants, openSync, write, writeSync } from 'node:fs'

export interface LogOutputOptions {
  /** Most bytes of lines that wait to be written; further lines are dropped. */
  readonly maxBytes?: number
  /** Milliseconds after which a write is tried again that failed. */
  readonly retryMs?: number
}

/** Bytes of one write: a pipe that has room for less takes none, pipe(7), and a try blocks nobody. */
const writeMax = 16 * 1024
/** Milliseconds until a full pipe is tried again. */
const fullMs = 50

/**
 * Lines for a file descriptor, which may be a full disk, a pipe that is not read, or closed: whatever becomes of them,
 * the program goes on, holds so many bytes and no more, and can end. What is dropped is counted.
 *
 * sonic-boom, pino's own, does so as well except at the end of the program: its flushSync() tries for ever where writing
 * fails by anything but EAGAIN, and it does not try again by itself when it holds as much as it may.
 */
export class LogOutput {
  readonly #fd: number
  readonly #maxBytes: number
  readonly #retryMs: number
  #lines: string[] = []
  /** What is being written, or was and failed. */
  #chunk: Buffer = Buffer.alloc(0)
  #bytes = 0
  #writing = false
  #retry: NodeJS.Timeout | undefined
  #ended = false
  #dropped = 0
  #untold = 0
  #recovered: (lines: number) => void = () => {}

  /** @param fd where no write blocks; see `standardOutput` */
  constructor(fd: number, { maxBytes = 1024 * 1024, retryMs = 1000 }: LogOutputOptions = {}) {
    this.#fd = fd
    this.#maxBytes = maxBytes
    this.#retryMs = retryMs
  }

  /** Lines that were dropped. */
  get dropped(): number {
    return this.#dropped
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.#bytes
  }

  /** Calls when lines are written again of which some were dropped, with the number of these. */
  onRecovered(call: (lines: number) => void): void {
    this.#recovered = call
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line)
    if (this.#ended || this.#bytes + bytes > this.#maxBytes) {
      this.#drop(1)
      return
    }
    this.#lines.push(line)
    this.#bytes += bytes
    this.#next()
  }

  /** Writes what waits, for at most so many milliseconds, and drops the rest: for the end of the program. */
  end(withinMs: number): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#retry)
    const deadline = performance.now() + withinMs
    // Those that are being written are, before Node ends (libuv waits for its threads).
    if (this.#writing) this.#wrote(this.#chunk.length)
    while (this.#fill()) {
      try {
        this.#wrote(writeSync(this.#fd, this.#chunk))
      } catch (error) {
        if (!isFull(error) || performance.now() >= deadline) break
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fullMs / 5)
      }
    }
    this.#drop(this.#lines.length + this.#chunk.toString().split('\n').length - 1)
  }

  #next(): void {
    if (this.#writing || this.#retry || this.#ended || !this.#fill()) return
    this.#writing = true
    write(this.#fd, this.#chunk, (error, count) => {
      this.#writing = false
      if (error) {
        const wait = isFull(error) ? fullMs : this.#retryMs
        this.#retry ??= setTimeout(() => {
          this.#retry = undefined
          this.#next()
        }, wait).unref()
        return
      }
      this.#wrote(count)
      this.#tell()
      this.#next()
    })
  }

  /** Makes the next piece to be written. @returns whether there is any */
  #fill(): boolean {
    if (this.#chunk.length > 0) return true
    let [count, length] = [0, 0]
    while (count < this.#lines.length && length < writeMax) length += this.#lines[count++]!.length
    this.#chunk = Buffer.from(this.#lines.splice(0, count).join(''))
    return this.#chunk.length > 0
  }

  #wrote(count: number): void {
    this.#chunk = this.#chunk.subarray(count)
    this.#bytes -= count
  }

  /** Says what was dropped, when there is room enough to be sure that this will not be. */
  #tell(): void {
    if (this.#untold === 0 || this.#bytes > this.#maxBytes / 2) return
    const lines = this.#untold
    this.#untold = 0
    this.#recovered(lines)
  }

  #drop(lines: number): void {
    this.#dropped += lines
    this.#untold += lines
  }
}

const isFull = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EAGAIN'

/**
 * Returns a descriptor of standard output where no write blocks. Node itself makes a pipe or a socket such that it does
 * not, when it makes its `process.stdout` (uv_pipe_open); a terminal, which somebody may have stopped, is opened anew. A
 * file is as it was: a disk that is full says so.
 */
export function standardOutput(
  { isTTY, fd }: { readonly isTTY?: boolean; readonly fd: 1 } = process.stdout,
): number {
  if (!isTTY) return fd
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return fd
  }
}
