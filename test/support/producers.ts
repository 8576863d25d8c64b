import type { Follower, Producer } from '../../src/streamcache/index.js'

const period = 1_000_003
const noise = Buffer.alloc(2 * period)
for (let index = 0, state = 1; index < period; index++) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  noise[index] = noise[index + period] = state >>> 16
}

/**
 * Returns bytes that differ by stream and offset, so that exchanged, repeated or foreign bytes are
 * detected. Their period is no multiple of any block size.
 */
export function bytesOf(stream: number, offset: number, length: number): Buffer {
  const parts: Buffer[] = []
  for (let at = offset; at < offset + length;) {
    const start = (stream * 7919 + at) % period
    const part = noise.subarray(start, start + Math.min(period, offset + length - at))
    parts.push(part)
    at += part.length
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/** A producer that the test controls: what it makes, and when it ends. */
export class ManualProducer {
  /** The producer itself; may be run once. */
  readonly run: Producer = (signal) => this.#generate(signal)
  /** The engine's signal, once the producer runs. */
  signal: AbortSignal | undefined
  /** Bytes that the engine has taken. */
  taken = 0
  /** Has it ended, by itself or by the engine? */
  over = false
  readonly #queue: (Buffer | Error | 'end')[] = []
  #wake: (() => void) | undefined

  /** Makes these bytes as soon as the engine reads more. */
  push(...chunks: Buffer[]): this {
    return this.#add(...chunks)
  }

  end(): this {
    return this.#add('end')
  }

  fail(error = new Error('the producer broke')): this {
    return this.#add(error)
  }

  #add(...items: (Buffer | Error | 'end')[]): this {
    this.#queue.push(...items)
    this.#wake?.()
    return this
  }

  async *#generate(signal: AbortSignal): AsyncGenerator<Buffer> {
    this.signal = signal
    signal.addEventListener('abort', () => this.#wake?.())
    try {
      for (;;) {
        signal.throwIfAborted()
        const item = this.#queue.shift()
        if (item === undefined) {
          await new Promise<void>((resolve) => (this.#wake = resolve))
        } else if (item === 'end') {
          return
        } else if (item instanceof Error) {
          throw item
        } else {
          this.taken += item.length
          yield item
        }
      }
    } finally {
      this.over = true
    }
  }
}

/** Returns a producer that makes these chunks and ends. */
export function producerOf(...chunks: (Buffer | string)[]): Producer {
  return new ManualProducer().push(...chunks.map((chunk) => Buffer.from(chunk))).end().run
}

/** Reads a follower to its end and closes it. @throws the error that its stream ends with, if it does */
export async function collect(follower: Follower): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of follower) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** Reads until the follower has that many bytes. @throws if the stream ends before */
export async function readUntil(follower: Follower, offset: number): Promise<void> {
  while (follower.offset < offset) {
    if ((await follower.read()) === null) throw new Error(`the stream ended at ${follower.offset}`)
  }
}

/** Lets the event loop make some turns: afterwards all has run that does not wait for time to pass. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Is a promise still pending after some turns of the event loop? */
export async function pending(promise: Promise<unknown>): Promise<boolean> {
  const marker = Symbol('pending')
  return (await Promise.race([promise, turns().then(() => marker)])) === marker
}
