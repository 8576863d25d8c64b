import type { Claim, ClaimAnswer } from '../../engine.js'
import type { FillKeys } from './keys.js'
import { absent, isAt, type Comparison, type KeyValue } from './client/messages.js'
import {
  entryOf,
  failureOf,
  fillLeaseOf,
  type EntryRecord,
  type FailureRecord,
  type FillLeaseRecord,
} from './records.js'
import type { Sightings } from './sightings.js'

/** What is stored about a fill's key at one revision. */
export class FillState {
  readonly #keys: FillKeys
  readonly #sightings: Sightings
  readonly #kvs: ReadonlyMap<string, KeyValue>
  readonly lease: (FillLeaseRecord & { readonly token: string; readonly kv: KeyValue }) | undefined
  readonly entry: EntryRecord | undefined
  readonly #failure: FailureRecord | undefined

  /** @param kvs all keys that begin with the prefix of `keys` */
  constructor(keys: FillKeys, kvs: readonly KeyValue[], sightings: Sightings) {
    this.#keys = keys
    this.#sightings = sightings
    this.#kvs = new Map(kvs.map((kv) => [kv.key, kv]))
    const kv = this.#kvs.get(keys.lease)
    const lease = fillLeaseOf(kv)
    this.lease = kv && lease && { ...lease, kv, token: tokenOf(lease.granted ?? kv.modRevision, lease.nonce) }
    this.entry = entryOf(this.#kvs.get(keys.entry))
    this.#failure = failureOf(this.#kvs.get(keys.failure))
  }

  /** Holds as long as nothing has changed. */
  get unchanged(): Comparison[] {
    const { lease, entry, failure } = this.#keys
    return [lease, entry, failure].map((key) => isAt(key, this.#kvs.get(key)?.modRevision ?? absent))
  }

  /** The key of the record that a claim robs, if it exists. */
  robbed({ rob }: Claim): Comparison | undefined {
    if (rob === undefined) return undefined
    const { lease, entry } = this.#keys
    const [ofLease, ofEntry] = this.unchanged
    if (this.lease?.token === rob) return { ...ofLease!, key: lease }
    return this.entry?.token === rob ? { ...ofEntry!, key: entry } : undefined
  }

  /** Answers a claim; undefined: the lease is to be granted. */
  answer({ state, node, rob }: Claim): ClaimAnswer | undefined {
    const { lease, entry } = this
    const failure = this.#failureFor(state)
    if (failure) return failure
    if (entry && state !== undefined && entry.state === state && entry.token !== rob)
      return { kind: 'published', node: entry.node, token: entry.token, entry: entry.entry }
    if (!lease || lease.node === node || lease.token === rob) return undefined
    const leftMs = this.leaseLeftMs
    return leftMs > 0 ? { kind: 'held', node: lease.node, token: lease.token, leftMs } : undefined
  }

  /** Milliseconds until the lease's time limit; 0 or less: it is over, though etcd still has the lease. */
  get leaseLeftMs(): number {
    return this.lease ? this.#sightings.leftMs(this.lease.kv, this.lease.ttlMs) : 0
  }

  #failureFor(state: string | undefined): ClaimAnswer | undefined {
    const record = this.#failure
    if (!record || (record.failure.state !== undefined && record.failure.state !== state)) return undefined
    const leftMs = this.#sightings.leftMs(this.#kvs.get(this.#keys.failure)!, record.ttlMs)
    return leftMs > 0 ? { kind: 'failed', failure: record.failure, leftMs } : undefined
  }
}

/** @param granted the revision at which the lease was granted */
export const tokenOf = (granted: string, nonce: string): string => `${granted}.${nonce}`

/** Returns the revision and the random part of a token. */
export function partsOf(token: string): { readonly granted: string; readonly nonce: string } {
  const [granted = '', nonce = ''] = token.split('.')
  return { granted, nonce }
}
