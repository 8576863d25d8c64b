import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import { descriptorLimit, othersMin, raiseLimit, requestsWithin } from '../limits/file-descriptors.js'
import type { Log } from '../telemetry/log.js'

/**
 * Warns if there are file descriptors for less than half of the requests that the settings let in.
 * @throws ConfigError if there are too few to serve at all
 */
export function checkFileDescriptors(
  { maxRequests, maxProcesses }: Pick<Settings, 'maxRequests' | 'maxProcesses'>,
  log: Pick<Log, 'warn'>,
  limit = descriptorLimit(),
): void {
  if (limit === undefined) return
  if (limit < othersMin) {
    throw new ConfigError(
      `this process may have ${limit} file descriptors, which is too few; ${othersMin} are the least: ${raiseLimit}`,
    )
  }
  const requests = requestsWithin(limit, maxProcesses)
  if (requests >= maxRequests / 2) return
  log.warn(
    { limit, maxRequests, maxProcesses },
    `${limit} file descriptors are enough for some ${requests} requests at once, and max-requests is ${maxRequests}: ` +
      `${raiseLimit}, or set --max-requests ${requests}`,
  )
}
