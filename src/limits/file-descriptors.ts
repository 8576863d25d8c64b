import { readFileSync } from 'node:fs'

/**
 * Returns how many file descriptors this process may have (getrlimit(2), RLIMIT_NOFILE; Node has raised it as far as it
 * may); undefined: the system does not tell, or there is not even one left to ask it.
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

/** What to do about too few. */
export const raiseLimit = 'raise the limit, by "ulimit -n 65536" or systemd’s LimitNOFILE=65536'

/** Descriptors that a process has besides: modules that are being loaded, listeners, the cache's files, epoll. */
export const othersMin = 128
/** A Git process's pipes. */
const perProcess = 3

/** Returns how many requests may be under way at once with so many descriptors, a connection each. */
export function requestsWithin(limit: number, maxProcesses: number): number {
  return Math.max(1, limit - othersMin - perProcess * maxProcesses)
}
