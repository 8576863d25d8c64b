import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import { descriptorLimit, othersMin, raiseLimit, requestsWithin } from '../../limits/file-descriptors.js'
import type { Log } from '../../telemetry/log.js'

/**
 * Warns if the file descriptor limit allows less than half of `max-requests`.
 * @param limit of this process; undefined: unknown, and nothing is checked
 * @throws ConfigError if there are too few descriptors to serve at all
 */
export function checkFileDescriptors(
  { maxRequests, maxProcesses }: Pick<Settings, 'maxRequests' | 'maxProcesses'>,
  log: Pick<Log, 'warn'>,
  limit = descriptorLimit(),
): void {
  if (limit === undefined) return
  if (limit < othersMin) {
    throw new ConfigError(
      `the file descriptor limit of this process, ${limit}, is too low; at least ${othersMin} are needed: ${raiseLimit}`,
    )
  }
  const requests = requestsWithin(limit, maxProcesses)
  if (requests >= maxRequests / 2) return
  log.warn(
    { limit, maxRequests, maxProcesses },
    `a file descriptor limit of ${limit} allows about ${requests} requests at once, and max-requests is ${maxRequests}: ` +
      `${raiseLimit}, or set --max-requests ${requests}`,
  )
}
