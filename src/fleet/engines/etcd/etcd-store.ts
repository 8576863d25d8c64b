import type { Clock } from '../../../limits/clock.js'
import type { EtcdClient } from './client/etcd-client.js'
import type { EtcdLeases } from './client/etcd-leases.js'
import type { EtcdKeys } from './keys.js'
import type { Revisions } from './client/revisions.js'
import type { Sightings } from './sightings.js'

/** What all parts of the engine work with. */
export interface EtcdStore {
  readonly client: EtcdClient
  readonly keys: EtcdKeys
  readonly leases: EtcdLeases
  readonly sightings: Sightings
  readonly revisions: Revisions
  readonly clock: Clock
}
