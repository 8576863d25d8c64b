import { LRUCache } from 'lru-cache'
import { systemClock, type Clock } from '../clock.js'

export interface RecentAdmissionsOptions {
  /** How long in milliseconds an admission is remembered after the client's last request. */
  readonly forMs: number
  /** Most admissions that are remembered; the least recently used are forgotten first. */
  readonly max: number
  readonly clock?: Clock
}

/**
 * Remembers which clients were let in, by group, so that the requests that follow are queued and not shed: Git dies of
 * a 429 to a POST, after it has been told what it may fetch. Each of them renews the admission, for a fetch may ask many
 * times until both sides agree on what to send. Who is forgotten is treated as a newcomer, no worse.
 */
export class RecentAdmissions {
  readonly #known: LRUCache<string, true>

  constructor({ forMs, max, clock = systemClock }: RecentAdmissionsOptions) {
    this.#known = new LRUCache({ max, ttl: forMs, ttlResolution: 0, updateAgeOnGet: true, perf: clock })
  }

  /** @param client whatever tells clients apart: better too coarse than too fine */
  add(client: string, group: string): void {
    this.#known.set(keyOf(client, group), true)
  }

  has(client: string, group: string): boolean {
    return this.#known.get(keyOf(client, group)) ?? false
  }
}

/** The length tells where the one ends and the other begins, whatever is in them. */
const keyOf = (client: string, group: string): string => `${client.length} ${client} ${group}`
