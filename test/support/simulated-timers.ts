import type { Test } from 'tap'

export interface SimulatedTimers {
  /** Timers that have neither fired nor been cancelled. */
  readonly armed: number
  pass(ms: number): void
  restore(): void
}

/**
 * Replaces Node's timers and performance.now() with ones for which only the test lets time pass. As in Node, a delay that
 * does not fit into 31 bits counts as one millisecond.
 */
export function simulateTimers(t: Test): SimulatedTimers {
  const waiting = new Map<object, { readonly at: number; readonly call: () => void }>()
  let now = 0
  const captured = [
    t.capture(globalThis, 'setTimeout', (call: () => void, ms: number) => {
      const timer = { unref: () => timer }
      waiting.set(timer, { at: now + (ms >= 1 && ms <= 2 ** 31 - 1 ? ms : 1), call })
      return timer
    }),
    t.capture(globalThis, 'clearTimeout', (timer: object) => void waiting.delete(timer)),
    t.capture(performance, 'now', () => now),
  ]
  return {
    get armed() {
      return waiting.size
    },
    pass(ms) {
      const end = now + ms
      for (;;) {
        const [next] = [...waiting].sort(([, a], [, b]) => a.at - b.at)
        if (!next || next[1].at > end) break
        waiting.delete(next[0])
        now = next[1].at
        next[1].call()
      }
      now = end
    },
    restore: () => {
      for (const one of captured) one.restore()
    },
  }
}
