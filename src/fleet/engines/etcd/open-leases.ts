import {
  fleetLeasesMax,
  repositoryOfLease,
  TooManyFleetLeases,
  type FleetLease,
  type NewFleetLease,
} from '../../engine.js'
import type { Epochs } from './epochs.js'
import { EtcdError } from './client/etcd-error.js'
import type { EtcdStore } from './etcd-store.js'
import {
  absent,
  exists,
  isAt,
  prefixed,
  prefixEnd,
  put,
  range,
  remove,
  type KeyValue,
} from './client/messages.js'
import { encode, mutatorLeaseOf, type MutatorLeaseRecord } from './records.js'

/** Leases that are read in one round trip. */
const pageSize = 200

/** Each try that fails was beaten by another node's success. */
const triesMax = 16

/**
 * Mutator leases. One that is not ended is removed by the process that opened or renewed it last, exactly at its time limit;
 * and by etcd, some seconds later at most, if this process has ended too.
 */
export class OpenLeases {
  readonly #store: EtcdStore
  readonly #epochs: Epochs
  readonly #max: number
  /** How many were open in the fleet when this was last known. */
  #known = 0
  /** Cancel the removals at time limits, by ids. */
  readonly #removals = new Map<string, () => void>()

  constructor(store: EtcdStore, epochs: Epochs, max = fleetLeasesMax) {
    this.#store = store
    this.#epochs = epochs
    this.#max = max
  }

  /** @throws TooManyFleetLeases */
  async open({ id, ...lease }: NewFleetLease, leftMs = lease.ttlMs): Promise<void> {
    const { keys, leases } = this.#store
    if (repositoryOfLease(id) !== lease.repository)
      throw new EtcdError(`${id} is not the id of a lease of ${lease.repository}: it must begin with it`)
    if (this.#known >= this.#max) await this.#count()
    const key = keys.lease(id)
    const opened = await leases.attach({ owner: '', ttlMs: leftMs }, (etcdLease) =>
      this.#epochs.write({
        compare: [isAt(key, absent)],
        success: [
          put(key, encode(recordOf(lease)), etcdLease),
          ...this.#epochs.counted(lease.repository, 'openings'),
          range(prefixed(keys.leases, { countOnly: true })),
        ],
      }),
    )
    if (!opened.succeeded) {
      // The id is random: if there is such a lease, the answer to an earlier try was lost.
      await this.#extend(id, lease.ttlMs, leftMs)
      return
    }
    this.#known = Number(opened.responses.at(-1)?.responseRange?.count)
    if (this.#known > this.#max) {
      // Others have opened the last ones at the same time. That this one was opened and ended changes nothing.
      await this.end(id, 'unchanged')
      throw this.#tooMany()
    }
    this.#removeLater(id, opened.header.revision, leftMs)
  }

  renew(id: string, ttlMs?: number): Promise<FleetLease | undefined> {
    return this.#extend(id, ttlMs)
  }

  /** @param leftMs until it expires; left out: the whole time limit */
  async #extend(id: string, ttlMs?: number, leftMs?: number): Promise<FleetLease | undefined> {
    const { client, keys, leases } = this.#store
    if (repositoryOfLease(id) === undefined) return undefined
    const key = keys.lease(id)
    let [kv] = (await client.range({ key })).kvs
    for (let tries = 0; tries < triesMax; tries++) {
      const found = mutatorLeaseOf(kv)
      if (!kv || !found) return undefined
      const lease = { ...found, ttlMs: ttlMs ?? found.ttlMs }
      const left = leftMs ?? lease.ttlMs
      const { modRevision } = kv
      const renewed = await leases.attach({ owner: '', ttlMs: left }, (etcdLease) =>
        client.txn({
          compare: [isAt(key, modRevision)],
          success: [put(key, encode(recordOf(lease)), etcdLease)],
          failure: [range({ key })],
        }),
      )
      if (renewed.succeeded) {
        this.#removeLater(id, renewed.header.revision, left)
        return describe(id, lease, left)
      }
      kv = renewed.responses[0]?.responseRange?.kvs[0]
    }
    throw new EtcdError(`lease ${id} was changed by others ${triesMax} times while it was to be renewed`)
  }

  async end(id: string, end: 'changed' | 'unchanged'): Promise<FleetLease | undefined> {
    const { keys } = this.#store
    const repository = repositoryOfLease(id)
    if (repository === undefined) return undefined
    this.#cancelRemoval(id)
    const key = keys.lease(id)
    const ended = await this.#epochs.write({
      compare: [exists(key)],
      success: [
        remove(key),
        ...this.#epochs.counted(repository, 'ends'),
        ...(end === 'changed' ? this.#epochs.counted(repository, 'changes') : []),
      ],
    })
    const kv = ended.responses[0]?.responseDeleteRange?.prevKvs[0]
    const lease = mutatorLeaseOf(kv)
    return lease && describe(id, lease, await this.#leftMs(kv!, lease).catch(() => 0))
  }

  async list(): Promise<FleetLease[]> {
    const { keys } = this.#store
    const found: FleetLease[] = []
    for await (const kv of this.#all()) {
      const lease = mutatorLeaseOf(kv)
      const leftMs = lease ? await this.#leftMs(kv, lease) : 0
      if (found.length >= this.#max) break
      if (lease && leftMs > 0) found.push(describe(kv.key.slice(keys.leases.length), lease, leftMs))
    }
    return found
  }

  close(): void {
    for (const cancel of this.#removals.values()) cancel()
    this.#removals.clear()
  }

  /** @throws TooManyFleetLeases */
  async #count(): Promise<void> {
    const { client, keys } = this.#store
    this.#known = Number((await client.range(prefixed(keys.leases, { countOnly: true }))).count)
    if (this.#known >= this.#max) throw this.#tooMany()
  }

  #tooMany(): TooManyFleetLeases {
    return new TooManyFleetLeases(`${this.#max} mutator leases are open`)
  }

  async *#all(): AsyncGenerator<KeyValue> {
    const { client, keys } = this.#store
    const rangeEnd = prefixEnd(keys.leases)
    for (let key: string | undefined = keys.leases; key !== undefined;) {
      const { kvs, more } = await client.range({ key, rangeEnd, limit: pageSize })
      yield* kvs
      // The first key after the last one.
      key = more && kvs.length > 0 ? `${kvs.at(-1)!.key}\0` : undefined
    }
  }

  /** etcd lets the lease live a little longer than its time limit. */
  async #leftMs({ lease }: KeyValue, { ttlMs }: MutatorLeaseRecord): Promise<number> {
    return Math.min(ttlMs, await this.#store.leases.leftMs(lease))
  }

  /** Removes the lease when its time limit has passed, unless it was written again. */
  #removeLater(id: string, revision: string, ttlMs: number): void {
    const { client, keys, clock } = this.#store
    this.#cancelRemoval(id)
    const key = keys.lease(id)
    const removeNow = (): void => {
      this.#removals.delete(id)
      // Otherwise etcd does it a little later.
      client.txn({ compare: [isAt(key, revision)], success: [remove(key)] }).catch(() => undefined)
    }
    this.#removals.set(id, clock.after(ttlMs, removeNow))
  }

  #cancelRemoval(id: string): void {
    this.#removals.get(id)?.()
    this.#removals.delete(id)
  }
}

const recordOf = ({
  repository,
  name,
  reason,
  openedAtMs,
  ttlMs,
}: Omit<NewFleetLease, 'id'> | MutatorLeaseRecord): MutatorLeaseRecord => ({
  ...{ repository, name, openedAtMs, ttlMs },
  ...(reason === undefined ? {} : { reason }),
})

const describe = (id: string, lease: MutatorLeaseRecord, leftMs: number): FleetLease => ({
  ...{ id, repository: lease.repository, name: lease.name, reason: lease.reason },
  ...{ openedAtMs: lease.openedAtMs, ttlMs: lease.ttlMs, leftMs },
})
