import { readFileSync } from 'node:fs'

/**
 * Returns how many file descriptors this process may have (getrlimit(2), RLIMIT_NOFILE; Node raises the soft limit to the
 * hard limit); undefined: the system does not tell, or there is no descriptor left to read it with.
 */
export function descriptorLimit(): number | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1')
    const [, limit] = /^Max open files +(\d+)/m.exec(limits) ?? []
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined
  }
}

/** Advice for messages about too few descriptors. */
export const raiseLimit = 'raise the limit, by "ulimit -n 65536" or systemd’s LimitNOFILE=65536'

/** Descriptors that this process needs for other things: modules being loaded, listeners, the cache's files, epoll. */
export const othersMin = 128
/** The pipes of a Git process. */
const perProcess = 3

/** Most files that are held open between requests, to be compared later with those that take their names. */
const heldOpenMax = 256

/** Returns how many files may be held open between requests with that many descriptors; undefined: not known. */
export const heldOpenWithin = (limit = Infinity): number =>
  Math.max(1, Math.min(heldOpenMax, Math.floor(limit / 16)))

/** Returns how many requests can be answered at once with that many descriptors, if each needs a connection. */
export function requestsWithin(limit: number, maxProcesses: number): number {
  return Math.max(1, limit - othersMin - heldOpenWithin(limit) - perProcess * maxProcesses)
}
