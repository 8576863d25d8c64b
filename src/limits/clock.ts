/** A source of time, which tests replace. */
export interface Clock {
  /** Returns milliseconds since an arbitrary moment; never goes back. */
  now(): number
  /** Calls once after that many milliseconds. @returns cancels the call */
  after(ms: number, call: () => void): () => void
}

/** Longest delay of a Node timer in milliseconds; a timer with a longer delay fires at once. */
export const timerMaxMs = 2 ** 31 - 1

/**
 * Calls once after that many milliseconds, however many these are; never after Infinity. To be used for every delay that
 * comes from a setting, a client or a file. The timer keeps the process alive.
 * @returns cancels the call
 */
export function callAfter(ms: number, call: () => void): () => void {
  return start(ms, call, (timer) => timer)
}

/** The monotonic clock of the system. Its timers do not keep the process alive. */
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
