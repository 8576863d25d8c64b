import type { EngineAddress } from '../../../config/values/fleet.js'
import { ClusterTransport } from './connections/cluster.js'
import { connectBy, type RedisTls } from './connections/connection.js'
import { SentinelTransport } from './connections/sentinel.js'
import { SingleTransport } from './connections/single.js'
import type { RedisTransport, TransportOptions } from './connections/transport.js'
import { RedisEngine } from './redis-engine.js'
import { loadRedisPackage, type RedisPackage } from './package.js'

export interface RedisEngineOptions {
  readonly address: EngineAddress
  /** The fleet's name, with which all that is stored begins. */
  readonly fleet: string
  /** For addresses with TLS. */
  readonly tls?: RedisTls
  /** Most mutator leases open at once; `fleetLeasesMax` if left out. */
  readonly leasesMax?: number
  /** Called when it becomes known that the server can, or cannot, be reached. @param error undefined: it can */
  readonly changed?: (error: Error | undefined) => void
  /** Loads the client library; replaced by tests. */
  readonly load?: () => Promise<RedisPackage>
}

/** Milliseconds within which a connection must be usable. */
const connectMs = 2_000

/**
 * Opens an engine on Redis. It connects in the background, so that a node starts without its engine.
 * @throws RedisPackageMissing
 */
export async function openRedisEngine(options: RedisEngineOptions): Promise<RedisEngine> {
  const redis = await loadRedisPackage(options.load)
  return new RedisEngine(transportOf(redis, options), options.fleet, options.leasesMax)
}

function transportOf(
  redis: RedisPackage,
  { address, tls = {}, changed }: RedisEngineOptions,
): RedisTransport {
  const { kind, hosts, username, password, path } = address
  const options: TransportOptions = {
    connect: connectBy(redis),
    hosts,
    connection: {
      tls: address.tls ? tls : undefined,
      username,
      password,
      connectMs,
      ...(kind === 'redis' && path !== undefined && { database: Number(path) }),
    },
    ...(changed && { changed }),
  }
  switch (kind) {
    case 'redis':
      return new SingleTransport(options)
    case 'redis-sentinel':
      return new SentinelTransport(options, path!)
    case 'redis-cluster':
      return new ClusterTransport(options)
    case 'etcd':
      throw new TypeError('not an address of Redis')
  }
}
