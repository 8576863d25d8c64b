import { LRUCache } from 'lru-cache'
import { systemClock, type Clock } from '../clock.js'
import { entriesAtMost } from '../entries-at-most.js'

export interface RecentAdmissionsOptions {
  /** How long in milliseconds an admission is remembered after the client's last request. */
  readonly forMs: number
  /** Most admissions that are remembered (LRU). */
  readonly max: number
  readonly clock?: Clock
}

/**
 * Remembers which clients were admitted, by group, so that the requests that follow are queued and not shed: a Git client
 * fails if its POST gets a 429 after it was told what it may fetch. Each of these requests renews the admission, since a
 * fetch may need many until both sides agree on what to send. A client that is forgotten is treated as a new one.
 */
export class RecentAdmissions {
  readonly #known: LRUCache<string, true>

  constructor({ forMs, max, clock = systemClock }: RecentAdmissionsOptions) {
    this.#known = new LRUCache({
      ...entriesAtMost(max),
      ...{ ttl: forMs, ttlResolution: 0, updateAgeOnGet: true, perf: clock },
    })
  }

  /**
   * Remembers an admission.
   * @param client identifies the client; two clients that count as one do less harm than one that counts as two
   */
  add(client: string, group: string): void {
    this.#known.set(keyOf(client, group), true)
  }

  /** Was this client admitted to this group? Renews the admission. */
  has(client: string, group: string): boolean {
    return this.#known.get(keyOf(client, group)) ?? false
  }
}

/** With the length of the client's name, so that no two pairs have the same key. */
const keyOf = (client: string, group: string): string => `${client.length} ${client} ${group}`
