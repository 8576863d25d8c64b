import { LRUCache } from 'lru-cache'
import type { Clock } from '../../../limits/clock.js'
import type { KeyValue } from './client/messages.js'

/** Most keys that are remembered. Of one that was forgotten, the time limit begins anew; etcd's own lease ends it then. */
const keysMax = 50_000

/**
 * When each version of a key was seen here first: time limits shorter or more exact than those of etcd's leases, which last whole
 * seconds, without comparing two clocks. A version was written before it was seen; so it is older than its time limit when
 * it was seen that long ago. Its writer's renewals are versions of their own.
 */
export class Sightings {
  readonly #clock: Clock
  readonly #seen: LRUCache<string, { readonly revision: string; readonly at: number }>

  constructor(clock: Clock) {
    this.#clock = clock
    this.#seen = new LRUCache({ max: keysMax })
  }

  /** Returns the milliseconds that are left of a time limit that began with this version of a key: 0 or less, it is over. */
  leftMs(kv: KeyValue, ttlMs: number): number {
    return this.see(kv.key, kv.modRevision) + ttlMs - this.#clock.now()
  }

  /** @returns when this version was seen first */
  see(key: string, revision: string): number {
    const seen = this.#seen.get(key)
    if (seen?.revision === revision) return seen.at
    const at = this.#clock.now()
    this.#seen.set(key, { revision, at })
    return at
  }

  forget(key: string): void {
    this.#seen.delete(key)
  }
}
