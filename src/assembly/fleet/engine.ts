import type { EngineAddress } from '../../config/fleet-values.js'
import type { Settings } from '../../config/options.js'
import type { FleetEngine } from '../../fleet/engine.js'
import { atMostEvery, type Log } from '../../telemetry/log.js'
import { readText } from './text-file.js'

/** Least time in milliseconds between two log lines about a connection to the engine. */
const logMs = 60_000

/**
 * Returns what opens the engine at an address. Its client library is loaded on demand.
 * @throws ConfigError if a certificate cannot be read
 */
export function openEngine(address: EngineAddress, settings: Settings, log: Log): () => Promise<FleetEngine> {
  const { fleetName: fleet, fleetTlsCa, fleetTlsCert, fleetTlsKey } = settings
  const tls = {
    ...(fleetTlsCa !== undefined && { ca: Buffer.from(readText('fleet-tls-ca', fleetTlsCa)) }),
    ...(fleetTlsCert !== undefined && { cert: Buffer.from(readText('fleet-tls-cert', fleetTlsCert)) }),
    ...(fleetTlsKey !== undefined && { key: Buffer.from(readText('fleet-tls-key', fleetTlsKey)) }),
  }
  const logFailure = atMostEvery(logMs, (err: Error) =>
    log.warn({ err }, 'the engine of the fleet cannot be reached'),
  )
  return async () => {
    if (address.kind === 'etcd') {
      const { EtcdEngine } = await import('../../fleet/engines/etcd/etcd-engine.js')
      return new EtcdEngine({ address, fleet, tls })
    }
    const { openRedisEngine } = await import('../../fleet/engines/redis/open.js')
    return openRedisEngine({ address, fleet, tls, changed: (error) => error && logFailure(error) })
  }
}
