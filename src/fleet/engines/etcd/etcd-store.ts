import type { Clock } from '../../../limits/clock.js'
import type { EtcdClient } from './etcd-client.js'
import type { EtcdLeases } from './etcd-leases.js'
import type { EtcdKeys } from './keys.js'
import type { Sightings } from './sightings.js'

/** What all parts of the engine work with. */
export interface EtcdStore {
  readonly client: EtcdClient
  readonly keys: EtcdKeys
  readonly leases: EtcdLeases
  readonly sightings: Sightings
  readonly clock: Clock
}
