/** Longest delay of a Node timer in milliseconds; a timer with a longer delay fires at once. */
const timerMaxMs = 2 ** 31 - 1

/**
 * Calls once after that many milliseconds, however many these are. Repeats what limits/clock.ts does, because streamcache/
 * imports nothing from the rest of refstream.
 * @returns cancels the call
 */
export function callAfter(ms: number, call: () => void): () => void {
  let timer: NodeJS.Timeout
  const wait = (leftMs: number): void => {
    const onward = leftMs > timerMaxMs ? () => wait(leftMs - timerMaxMs) : call
    timer = setTimeout(onward, Math.min(leftMs, timerMaxMs))
  }
  wait(ms)
  return () => clearTimeout(timer)
}
