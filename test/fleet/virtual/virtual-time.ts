import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../../src/limits/clock.js'

interface Timer {
  readonly at: number
  readonly nth: number
  call: (() => void) | undefined
}

/** A clock for many timers (a binary heap), which goes on by itself: see `run`. */
export class VirtualTime implements Clock {
  #now = 1000
  #timers = 0
  readonly #heap: Timer[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, call: () => void): () => void {
    const timer: Timer = { at: this.#now + ms, nth: this.#timers++, call }
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0 && isBefore(timer, heap[(at - 1) >> 1]!)) {
      heap[at] = heap[(at - 1) >> 1]!
      at = (at - 1) >> 1
    }
    heap[at] = timer
    return () => void (timer.call = undefined)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Lets time pass until no timer is left, or `ms` have passed. Promises settle before the time goes on. */
  async run(ms: number): Promise<void> {
    const end = this.#now + ms
    for (let next = this.#heap[0]; next && next.at <= end; next = this.#heap[0]) {
      this.#now = next.at
      for (let timer = next; timer.at === next.at; timer = this.#heap[0]!) {
        this.#pop()
        timer.call?.()
        if (this.#heap.length === 0) break
      }
      await turn()
    }
    this.#now = end
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (child >= heap.length || !isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.nth < b.nth)
