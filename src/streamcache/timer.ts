/** Longest delay of a timer of Node's, in milliseconds. One with a longer delay goes off at once. */
const timerMaxMs = 2 ** 31 - 1

/**
 * Calls once, that many milliseconds from now, however many they are. As in limits/clock.ts, which this room does not
 * know. @returns what ends the wait
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
