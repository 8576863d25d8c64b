import type { Channel } from './channel.js'

/** Collects what is to be sent, and sends it as one message when the event loop has handled what has arrived. */
export class Batch<Item> {
  readonly #channel: Pick<Channel, 'send'>
  readonly #caughtUp: () => void
  #items: Item[] = []
  #scheduled = false
  #unwritten = 0

  /** @param caughtUp called when all messages are written */
  constructor(channel: Pick<Channel, 'send'>, caughtUp = (): void => {}) {
    this.#channel = channel
    this.#caughtUp = caughtUp
  }

  /** Are earlier messages still waiting to be written? */
  get isBehind(): boolean {
    return this.#unwritten > 0
  }

  add(item: Item): void {
    this.#items.push(item)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    const items = this.#items
    this.#items = []
    this.#scheduled = false
    this.#unwritten++
    this.#channel.send(items, () => {
      if (--this.#unwritten === 0) this.#caughtUp()
    })
  }
}
