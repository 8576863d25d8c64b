/** Time as limits see it, so that tests can bring their own. */
export interface Clock {
  /** Milliseconds since some moment; never goes back. */
  now(): number
  /** Calls once, that many milliseconds from now, unless the function that it returns was called before. */
  after(ms: number, call: () => void): () => void
}

/** Longest delay of a timer of Node's, in milliseconds. One with a longer delay goes off at once. */
export const timerMaxMs = 2 ** 31 - 1

/**
 * Calls once, that many milliseconds from now: any number of them, and never for Infinity. For every delay that comes
 * from a setting, a client or a file. The timer keeps the program alive.
 * @returns what ends the wait
 */
export function callAfter(ms: number, call: () => void): () => void {
  return start(ms, call, (timer) => timer)
}

/** The real time. Its timers do not keep a program alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, call) => start(ms, call, (timer) => timer.unref()),
}

function start(ms: number, call: () => void, mark: (timer: NodeJS.Timeout) => NodeJS.Timeout): () => void {
  let timer: NodeJS.Timeout
  const wait = (leftMs: number): void => {
    const onward = leftMs > timerMaxMs ? () => wait(leftMs - timerMaxMs) : call
    timer = mark(setTimeout(onward, Math.min(leftMs, timerMaxMs)))
  }
  wait(ms)
  return () => clearTimeout(timer)
}
