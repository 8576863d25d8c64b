import type { BackOff } from '../../limits/back-off.js'
import type { RevisingProducer } from '../../streamcache/index.js'
import { BackingOff } from './errors.js'

/** @param state what must change before a failed try may succeed at once @throws BackingOff */
export function throwIfBackingOff(backOff: BackOff, key: string, state?: string): void {
  const blocked = backOff.blocked(key, state)
  if (blocked) throw new BackingOff(blocked.retryAfterMs, blocked.error)
}

/**
 * Returns a source that throws BackingOff, without starting a process, while its key backs off after failures in the
 * same state (R7). A repository that was repaired is in another state.
 */
export function unlessBackingOff(
  backOff: BackOff,
  key: string,
  state: string,
  producer: RevisingProducer,
): RevisingProducer {
  return (signal) => {
    throwIfBackingOff(backOff, key, state)
    return producer(signal)
  }
}
