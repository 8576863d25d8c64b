import { systemClock, type Clock } from '../../../../limits/clock.js'
import type { RedisConnection } from './connection.js'

/** There is no connection to the server now. */
export class RedisUnreachable extends Error {
  override readonly name = 'RedisUnreachable'
}

export interface LinkOptions {
  /** Finds the server and connects to it. */
  readonly connect: () => Promise<RedisConnection>
  /** Called after each attempt to connect, and when a connection has ended. @param error undefined: connected */
  readonly changed?: (error: Error | undefined) => void
  readonly clock?: Clock
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: () => number
  /** Milliseconds after which a connection that leaves a command unanswered is given up. */
  readonly answerMs?: number
}

const baseMs = 50
const capMs = 2_000
/** A connection that lasted this long was a good one: its end is answered by a fast attempt to connect. */
const stableMs = 5_000
const pingMs = 5_000

/**
 * A connection that is made anew whenever it ends: with exponential back-off and jitter, so that all nodes of a fleet do
 * not come at once, and after a new look for the server, which may be another one then. Commands are rejected at once
 * while there is no connection: none is kept for later, and none is sent twice.
 */
export class RedisLink {
  readonly #options: LinkOptions
  readonly #clock: Clock
  readonly #answerMs: number
  readonly #attempted: Promise<void>
  #connection: RedisConnection | undefined
  #error: Error = new RedisUnreachable('not connected yet')
  #isClosed = false
  #wake: () => void = () => {}

  constructor(options: LinkOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#answerMs = options.answerMs ?? 5_000
    this.#attempted = new Promise((resolve) => void this.#run(resolve))
  }

  get isConnected(): boolean {
    return this.#connection !== undefined
  }

  /** Resolves when the first attempt to connect has ended, well or not. */
  get attempted(): Promise<void> {
    return this.#attempted
  }

  /** Sends commands, in order and with no other between them. @returns the answer to the last; @throws RedisUnreachable */
  async send(...commands: (readonly string[])[]): Promise<unknown> {
    const connection = this.#connection
    if (!connection)
      throw new RedisUnreachable(`Redis cannot be reached: ${this.#error.message}`, { cause: this.#error })
    const stop = this.#clock.after(this.#answerMs, () => {
      connection.destroy(new RedisUnreachable(`a command was not answered within ${this.#answerMs} ms`))
    })
    try {
      return (await Promise.all(commands.map((command) => connection.send(command)))).at(-1)
    } catch (error) {
      // A master that was demoted: the look for the server finds the new one.
      if (error instanceof Error && /^READONLY\b/.test(error.message)) connection.destroy(error)
      throw error
    } finally {
      stop()
    }
  }

  /** Ends the connection, so that the server is looked for again. */
  reconnect(reason: string): void {
    this.#connection?.destroy(new RedisUnreachable(reason))
  }

  close(): void {
    this.#isClosed = true
    this.#error = new RedisUnreachable('the engine was closed')
    this.#connection?.destroy(this.#error)
    this.#connection = undefined
    this.#wake()
  }

  async #run(attempted: () => void): Promise<void> {
    const { random = Math.random } = this.#options
    const isClosed = (): boolean => this.#isClosed
    for (let failures = 0; !isClosed(); failures++) {
      const begun = this.#clock.now()
      const error = await this.#connectOnce(attempted)
      attempted()
      if (isClosed()) return
      this.#error = error
      this.#options.changed?.(error)
      if (this.#clock.now() - begun >= stableMs) failures = 0
      await this.#pause(Math.min(capMs, baseMs * 2 ** failures) * (0.5 + random() / 2))
    }
  }

  /** Connects, and waits until the connection has ended. @returns why it ended */
  async #connectOnce(attempted: () => void): Promise<Error> {
    let connection
    try {
      connection = await this.#options.connect()
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
    if (this.#isClosed) {
      connection.destroy()
      return this.#error
    }
    this.#connection = connection
    this.#options.changed?.(undefined)
    attempted()
    const stop = this.#pings()
    const error = await connection.ended
    stop()
    this.#connection = undefined
    return error
  }

  /** Finds out by itself that a server no longer answers, even if no other commands are sent. */
  #pings(): () => void {
    let stop: () => void
    const next = (): void => {
      stop = this.#clock.after(pingMs, () => {
        next()
        this.send(['PING']).catch(() => {})
      })
    }
    next()
    return () => stop()
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#clock.after(ms, resolve)
      this.#wake = () => {
        stop()
        resolve()
      }
    })
  }
}
