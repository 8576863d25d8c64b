import { constants, openSync, write, writeSync } from 'node:fs'

export interface LogOutputOptions {
  /** Maximum size of the buffer in bytes; further lines are dropped. */
  readonly maxBytes?: number
  /** Milliseconds after which a failed write is retried. */
  readonly retryMs?: number
  /**
   * Do other processes write to the descriptor too? Then each write has whole lines in no more bytes than a pipe takes at
   * once, unless a single line is longer.
   */
  readonly shared?: boolean
}

/** Bytes of one write. A non-blocking write to a pipe with less room than this fails as a whole (pipe(7)). */
const writeMax = 16 * 1024
/** The same where other processes write to the pipe too: more could be mixed with their bytes (PIPE_BUF). */
const sharedWriteMax = 4096
/** Milliseconds after which a write to a full pipe is retried. */
const fullMs = 50

/**
 * Writes lines to a file descriptor that may fail: a full disk, a pipe that is not read, a closed descriptor. Failures
 * never stop or block the program: its buffer is bounded, and lines that find no room in it are dropped and counted.
 *
 * sonic-boom, which pino uses by default, does not suffice: its flushSync() retries for ever if a write fails by anything
 * but EAGAIN, and it does not retry by itself once its buffer is full.
 */
export class LogOutput {
  readonly #fd: number
  readonly #maxBytes: number
  readonly #retryMs: number
  readonly #writeMax: number
  #lines: string[] = []
  /** The bytes that are being written, or whose write failed. */
  #chunk: Buffer = Buffer.alloc(0)
  #bytes = 0
  #writing = false
  #retry: NodeJS.Timeout | undefined
  #ended = false
  #dropped = 0
  #unreported = 0
  #recovered: (lines: number) => void = () => {}

  /** @param fd a non-blocking descriptor; see `standardOutput` */
  constructor(fd: number, { maxBytes = 1024 * 1024, retryMs = 1000, shared = false }: LogOutputOptions = {}) {
    this.#writeMax = shared ? sharedWriteMax : writeMax
    this.#fd = fd
    this.#maxBytes = maxBytes
    this.#retryMs = retryMs
  }

  /** Number of lines dropped so far. */
  get dropped(): number {
    return this.#dropped
  }

  /** Bytes in the buffer. */
  get waiting(): number {
    return this.#bytes
  }

  /** Registers a callback for when writing works again after lines were dropped; it gets the number of these lines. */
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
    this.#writeNext()
  }

  /** Writes the buffer synchronously, for at most so many milliseconds, and drops the rest: for the end of the program. */
  end(withinMs: number): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#retry)
    const deadline = performance.now() + withinMs
    // A write in progress completes before Node exits: libuv waits for its threads.
    if (this.#writing) this.#wrote(this.#chunk.length)
    while (this.#nextChunk()) {
      try {
        this.#wrote(writeSync(this.#fd, this.#chunk))
      } catch (error) {
        if (!isFull(error) || performance.now() >= deadline) break
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fullMs / 5)
      }
    }
    this.#drop(this.#lines.length + this.#chunk.toString().split('\n').length - 1)
  }

  #writeNext(): void {
    if (this.#writing || this.#retry || this.#ended || !this.#nextChunk()) return
    this.#writing = true
    write(this.#fd, this.#chunk, (error, count) => {
      this.#writing = false
      if (error) {
        const wait = isFull(error) ? fullMs : this.#retryMs
        this.#retry ??= setTimeout(() => {
          this.#retry = undefined
          this.#writeNext()
        }, wait).unref()
        return
      }
      this.#wrote(count)
      this.#reportDropped()
      this.#writeNext()
    })
  }

  /** Moves lines from the buffer to the chunk. @returns whether there is anything to write */
  #nextChunk(): boolean {
    if (this.#chunk.length > 0) return true
    let [count, length] = [0, 0]
    for (; count < this.#lines.length; count++) {
      length += Buffer.byteLength(this.#lines[count]!)
      if (count > 0 && length > this.#writeMax) break
    }
    this.#chunk = Buffer.from(this.#lines.splice(0, count).join(''))
    return this.#chunk.length > 0
  }

  #wrote(count: number): void {
    this.#chunk = this.#chunk.subarray(count)
    this.#bytes -= count
  }

  /** Reports dropped lines, once there is enough room for the report itself not to be dropped. */
  #reportDropped(): void {
    if (this.#unreported === 0 || this.#bytes > this.#maxBytes / 2) return
    const lines = this.#unreported
    this.#unreported = 0
    this.#recovered(lines)
  }

  #drop(lines: number): void {
    this.#dropped += lines
    this.#unreported += lines
  }
}

const isFull = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EAGAIN'

/**
 * Returns a descriptor of standard output whose writes do not block. Node makes pipes and sockets non-blocking when it
 * opens `process.stdout` (uv_pipe_open). A terminal may be stopped (Ctrl-S) and is opened anew as non-blocking. A file
 * stays as it is: a write to a full disk fails at once.
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
