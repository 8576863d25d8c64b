import { LRUCache } from 'lru-cache'
import type { Clock } from '../../../../limits/clock.js'
import type { EtcdClient } from './etcd-client.js'
import { isLeaseUnknown } from './etcd-error.js'

interface EtcdLease {
  readonly id: Promise<string>
  /** Until when it lasts at least, by the clock here. */
  readonly until: number
}

/** What an etcd lease is for: `owner` is the node whose fill leases end with it; '' for all else. */
interface Purpose {
  readonly owner: string
  readonly ttlMs: number
}

/** Most etcd leases of other nodes whose ends are remembered. */
const endsMax = 10_000

/**
 * Time limits for keys. etcd removes the keys that are attached to one of its leases when this expires; its leases last
 * whole seconds, and each costs a write by consensus. So one is shared by all keys that are written within `slackMs`: it is
 * that much longer than their time limit. Renewing a key attaches it to a younger etcd lease; no etcd lease is ever kept
 * alive, so that a key that is not renewed ends, whatever else its writer renews.
 */
export class EtcdLeases {
  readonly #client: EtcdClient
  readonly #clock: Clock
  /** By owner, then by length in seconds. The last one of each length is in use. */
  readonly #leases = new Map<string, Map<number, EtcdLease[]>>()
  /** When etcd leases end, by their ids. */
  readonly #ends = new LRUCache<string, number>({ max: endsMax })

  constructor(client: EtcdClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** Calls with the id of an etcd lease that lasts for the time limit, and again with another one if etcd does not know it. */
  async attach<T>(purpose: Purpose, write: (lease: string) => Promise<T>): Promise<T> {
    const lease = this.#find(purpose)
    try {
      return await write(await lease.id)
    } catch (error) {
      if (!isLeaseUnknown(error)) throw error
      this.#forget(purpose.owner, lease)
      return write(await this.#find(purpose).id)
    }
  }

  /** Ends all etcd leases of an owner that this process has made, with their keys. */
  async revoke(owner: string): Promise<void> {
    const leases = [...(this.#leases.get(owner)?.values() ?? [])].flat()
    this.#leases.delete(owner)
    await Promise.all(
      leases.map(async ({ id }) => {
        try {
          await this.#client.revoke(await id)
        } catch (error) {
          if (!isLeaseUnknown(error)) throw error
        }
      }),
    )
  }

  /** Returns the milliseconds until an etcd lease ends, to the second; 0: it has ended. */
  async leftMs(id: string): Promise<number> {
    const known = (this.#ends.get(id) ?? 0) - this.#clock.now()
    if (known > 0) return known
    const leftMs = ((await this.#client.timeToLive(id)) + 1) * 1000
    this.#ends.set(id, this.#clock.now() + leftMs)
    return Math.max(0, leftMs)
  }

  #find({ owner, ttlMs }: Purpose): EtcdLease {
    const seconds = Math.ceil((ttlMs + slackMs(ttlMs)) / 1000)
    const last = this.#leases.get(owner)?.get(seconds)?.at(-1)
    if (last && last.until - this.#clock.now() >= ttlMs) return last
    return this.#grant(owner, seconds)
  }

  #grant(owner: string, seconds: number): EtcdLease {
    this.#prune()
    const id = this.#client.grant(seconds)
    const lease = { id, until: this.#clock.now() + seconds * 1000 }
    const ofOwner = this.#leases.get(owner) ?? new Map<number, EtcdLease[]>()
    this.#leases.set(owner, ofOwner.set(seconds, [...(ofOwner.get(seconds) ?? []), lease]))
    id.then(
      (granted) => this.#ends.set(granted, lease.until),
      () => this.#forget(owner, lease),
    )
    return lease
  }

  /** Forgets what has ended. */
  #prune(): void {
    const now = this.#clock.now()
    for (const [owner, leases] of this.#leases) {
      for (const [seconds, all] of leases) {
        const left = all.filter(({ until }) => until > now)
        if (left.length > 0) leases.set(seconds, left)
        else leases.delete(seconds)
      }
      if (leases.size === 0) this.#leases.delete(owner)
    }
  }

  #forget(owner: string, lease: EtcdLease): void {
    for (const [seconds, all] of this.#leases.get(owner) ?? []) {
      this.#leases.get(owner)?.set(
        seconds,
        all.filter((each) => each !== lease),
      )
    }
  }
}

/** How much longer than the time limit of its keys an etcd lease is, in milliseconds. */
const slackMs = (ttlMs: number): number => Math.min(60_000, Math.max(1000, ttlMs / 60))
