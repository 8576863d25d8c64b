import type { Channel } from '../../../../src/fleet/engines/workers/channel.js'

/** One half of a pair of channels in one process. */
export class FakeChannel implements Channel {
  #other: FakeChannel | undefined
  readonly #listeners = new Set<(message: unknown) => void>()
  readonly #closers = new Set<() => void>()
  #closed = false
  /** While this is set, messages wait here instead of being written. */
  held: (() => void)[] | undefined
  /** Messages that were sent so far. */
  sent = 0

  /** Returns both halves. Messages are copied as JSON, and arrive in a later turn. */
  static pair(): [FakeChannel, FakeChannel] {
    const [a, b] = [new FakeChannel(), new FakeChannel()]
    a.#other = b
    b.#other = a
    return [a, b]
  }

  send(message: unknown, sent: () => void = () => {}): boolean {
    this.sent++
    const text = JSON.stringify(message)
    const write = (): void =>
      void setImmediate(() => {
        if (!this.#closed) this.#other?.receive(JSON.parse(text))
        sent()
      })
    if (!this.held) write()
    else this.held.push(write)
    return this.held === undefined
  }

  receive(message: unknown): void {
    for (const listener of [...this.#listeners]) listener(message)
  }

  onMessage(listener: (message: unknown) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onClose(listener: () => void): () => void {
    if (this.#closed) listener()
    else this.#closers.add(listener)
    return () => this.#closers.delete(listener)
  }

  /** Closes both halves, as the end of one process does. */
  close(): void {
    for (const half of [this, this.#other!]) {
      if (half.#closed) continue
      half.#closed = true
      for (const listener of [...half.#closers]) listener()
    }
  }
}
