import type { Clock } from '../../../limits/clock.js'

/** The nodes that have said lately that they are alive. Nodes that have not are forgotten at the next beat of another one. */
export class MemberTable {
  readonly #clock: Clock
  /** Until when each counts as alive, by the clock. */
  readonly #until = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  beat(node: string, ttlMs: number): string[] {
    const now = this.#clock.now()
    this.#until.set(node, now + ttlMs)
    for (const [member, until] of this.#until) if (until <= now) this.#until.delete(member)
    return [...this.#until.keys()]
  }

  leave(node: string): void {
    this.#until.delete(node)
  }
}
