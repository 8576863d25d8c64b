import type { Clock } from '../../../limits/clock.js'

/**
 * Calls after so many milliseconds, but not before what has come by then was read: when this process itself has been stopped
 * or busy for longer, that does not count against others.
 * @returns cancels the call
 */
export function afterReading(clock: Clock, ms: number, call: () => void): () => void {
  let immediate: NodeJS.Immediate | undefined
  // Node runs timers, then reads sockets, then runs immediates.
  const stop = clock.after(ms, () => (immediate = setImmediate(call)))
  return () => {
    stop()
    clearImmediate(immediate)
  }
}
