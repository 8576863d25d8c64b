import type { EngineAddress } from '../../config/values/fleet.js'
import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import type { FleetEngine } from '../../fleet/engine.js'
import { tryOut } from '../../fleet/engine-trial.js'
import { readEngineCertificates } from './files.js'

/**
 * Returns what opens the engine at an address, and rejects if that does not answer.
 * @throws ConfigError if its client library is not installed, or a certificate cannot be read
 */
export async function openEngine(
  address: EngineAddress,
  settings: Settings,
): Promise<() => Promise<FleetEngine>> {
  const { fleetName: fleet } = settings
  const tls = readEngineCertificates(settings)
  if (address.kind === 'etcd') {
    const { EtcdEngine } = await import('../../fleet/engines/etcd/etcd-engine.js')
    return () => tryOut(new EtcdEngine({ address, fleet, tls }))
  }
  const { openRedisEngine } = await import('../../fleet/engines/redis/open.js')
  const { loadRedisPackage } = await import('../../fleet/engines/redis/package.js')
  await loadRedisPackage().catch((error: unknown) => {
    throw new ConfigError(`--fleet: ${(error as Error).message}`, { cause: error })
  })
  return async () => tryOut(await openRedisEngine({ address, fleet, tls }))
}
