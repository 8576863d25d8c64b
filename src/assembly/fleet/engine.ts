import type { EngineAddress } from '../../config/fleet-values.js'
import type { Settings } from '../../config/options.js'
import { ConfigError } from '../../config/settings.js'
import type { FleetEngine } from '../../fleet/engine.js'
import { atMostEvery, type Log } from '../../telemetry/log.js'
import { readText } from './text-file.js'

/** Least time in milliseconds between two log lines about a connection to the engine. */
const logMs = 60_000

/**
 * Returns what opens the engine at an address.
 * @throws ConfigError if its client library is not installed, or a certificate cannot be read
 */
export async function openEngine(
  address: EngineAddress,
  settings: Settings,
  log: Log,
): Promise<() => Promise<FleetEngine>> {
  const { fleetName: fleet, fleetTlsCa, fleetTlsCert, fleetTlsKey } = settings
  const tls = {
    ...(fleetTlsCa !== undefined && { ca: Buffer.from(readText('fleet-tls-ca', fleetTlsCa)) }),
    ...(fleetTlsCert !== undefined && { cert: Buffer.from(readText('fleet-tls-cert', fleetTlsCert)) }),
    ...(fleetTlsKey !== undefined && { key: Buffer.from(readText('fleet-tls-key', fleetTlsKey)) }),
  }
  if (address.kind === 'etcd') {
    const { EtcdEngine } = await import('../../fleet/engines/etcd/etcd-engine.js')
    return () => Promise.resolve(new EtcdEngine({ address, fleet, tls }))
  }
  const { openRedisEngine } = await import('../../fleet/engines/redis/open.js')
  const { loadRedisPackage } = await import('../../fleet/engines/redis/package.js')
  await loadRedisPackage().catch((error: unknown) => {
    throw new ConfigError(`--fleet: ${(error as Error).message}`, { cause: error })
  })
  const logFailure = atMostEvery(logMs, (err: Error) =>
    log.warn({ err }, 'the engine of the fleet cannot be reached'),
  )
  return () => openRedisEngine({ address, fleet, tls, changed: (error) => error && logFailure(error) })
}
