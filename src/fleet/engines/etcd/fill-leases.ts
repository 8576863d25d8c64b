import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { publishedMs, type Claim, type ClaimAnswer, type FillOutcome, type HeldClaim } from '../../engine.js'
import { EtcdError } from './client/etcd-error.js'
import type { EtcdStore } from './etcd-store.js'
import { FillState, partsOf, tokenOf } from './fill-state.js'
import type { FillKeys } from './keys.js'
import {
  isAt,
  prefixed,
  put,
  range,
  remove,
  type Comparison,
  type Operation,
  type TxnResponse,
} from './client/messages.js'
import { encode } from './records.js'

/** A lease that was granted here. */
interface Mine {
  readonly key: string
  readonly node: string
  /** The revision at which it was written last. */
  readonly revision: string
  /** Its time limit by the clock here, from before it was written. */
  readonly until: number
}

/** Most leases granted here whose revisions are remembered; of others they are read first. */
const mineMax = 10_000

/** Each try that fails was beaten by another node's success. */
const triesMax = 16

/**
 * Fill leases, and what came of fills. A key has up to three records: a lease, an entry, a failure; transactions compare the
 * revisions of all that they depend on. A claim is tried as if there were no record, in one round trip, which otherwise
 * returns the records; then it answers, or is tried once more against them.
 *
 * The fencing token is the revision of the grant and 128 random bits: revisions repeat in an etcd that was restored.
 */
export class FillLeases {
  readonly #store: EtcdStore
  readonly #mine = new LRUCache<string, Mine>({ max: mineMax })

  constructor(store: EtcdStore) {
    this.#store = store
  }

  async claim(claim: Claim): Promise<ClaimAnswer> {
    const { leases, clock } = this.#store
    const keys = this.#keysOf(claim)
    const nonce = randomBytes(16).toString('base64url')
    let state = this.#stateOf(keys, [])
    for (let tries = 0; tries < triesMax; tries++) {
      const sentAt = clock.now()
      const granted = await leases.attach({ owner: claim.node, ttlMs: claim.ttlMs }, (lease) =>
        this.#grant(keys, state, { claim, nonce, lease }),
      )
      if (granted.succeeded) return this.#granted(keys, claim, granted.header.revision, nonce, sentAt)
      state = this.#found(keys, granted)
      // The answer to an earlier try was lost.
      if (state.lease?.nonce === nonce)
        return this.#granted(keys, claim, state.lease.kv.modRevision, nonce, sentAt)
      const answer = state.answer(claim)
      if (!answer) continue
      await this.#rob(state.robbed(claim))
      return answer
    }
    throw changesTooOften(keys)
  }

  async renew(held: HeldClaim): Promise<boolean> {
    const { leases } = this.#store
    const keys = this.#keysOf(held)
    const { granted, nonce } = partsOf(held.token)
    const record = encode({ nonce, node: held.node, ttlMs: held.ttlMs, granted })
    const sentAt = this.#store.clock.now()
    const revision = await this.#whileHeld(held, keys, (unchanged) =>
      leases.attach({ owner: held.node, ttlMs: held.ttlMs }, (lease) =>
        this.#write(keys, [unchanged], [put(keys.lease, record, lease)]),
      ),
    )
    if (revision !== undefined) this.#remember(keys, held, revision, sentAt)
    return revision !== undefined
  }

  async publish(held: HeldClaim, outcome: FillOutcome): Promise<boolean> {
    const keys = this.#keysOf(held)
    const revision = await this.#whileHeld(held, keys, (unchanged) =>
      this.#record(keys, unchanged, held, outcome),
    )
    this.#mine.delete(held.token)
    if (revision !== undefined && outcome.kind === 'failure')
      this.#store.sightings.see(keys.failure, revision)
    return revision !== undefined
  }

  #grant(
    keys: FillKeys,
    state: FillState,
    { claim, nonce, lease }: { readonly claim: Claim; readonly nonce: string; readonly lease: string },
  ): Promise<TxnResponse> {
    const { node, ttlMs } = claim
    const robsEntry = state.robbed(claim)?.key === keys.entry
    return this.#write(keys, state.unchanged, [
      put(keys.lease, encode({ nonce, node, ttlMs }), lease),
      ...(robsEntry ? [remove(keys.entry)] : []),
    ])
  }

  #granted(keys: FillKeys, claim: Claim, revision: string, nonce: string, sentAt: number): ClaimAnswer {
    const token = tokenOf(revision, nonce)
    this.#remember(keys, { ...claim, token }, revision, sentAt)
    return { kind: 'granted', token }
  }

  #remember(keys: FillKeys, { token, node, ttlMs }: HeldClaim, revision: string, sentAt: number): void {
    this.#store.sightings.see(keys.lease, revision)
    this.#mine.set(token, { key: keys.lease, node, revision, until: sentAt + ttlMs })
  }

  /** Removes a record that is robbed by a claim which another record answers. */
  async #rob(record: Comparison | undefined): Promise<void> {
    if (record) await this.#store.client.txn({ compare: [record], success: [remove(record.key)] })
  }

  #record(
    keys: FillKeys,
    unchanged: Comparison,
    { node, token }: HeldClaim,
    outcome: FillOutcome,
  ): Promise<TxnResponse> {
    const { leases } = this.#store
    const end = [remove(keys.lease)]
    if (outcome.kind === 'nothing') return this.#write(keys, [unchanged], end)
    if (outcome.kind === 'failure') {
      const { ttlMs, failure } = outcome
      return leases.attach({ owner: '', ttlMs }, (lease) =>
        this.#write(keys, [unchanged], [...end, put(keys.failure, encode({ token, ttlMs, failure }), lease)]),
      )
    }
    const record = encode({ token, node, state: outcome.state, entry: outcome.entry })
    return leases.attach({ owner: '', ttlMs: publishedMs }, (lease) =>
      this.#write(keys, [unchanged], [...end, put(keys.entry, record, lease), remove(keys.failure)]),
    )
  }

  /**
   * Writes with the condition that the lease is held as it was written last.
   * @returns the revision of the write; undefined: the lease is lost
   */
  async #whileHeld(
    held: HeldClaim,
    keys: FillKeys,
    write: (unchanged: Comparison) => Promise<TxnResponse>,
  ): Promise<string | undefined> {
    const mine = this.#mine.get(held.token)
    const isMine = mine?.key === keys.lease && mine.node === held.node
    // Others may see later than the holder that the time limit has passed, never earlier.
    if (isMine && mine.until <= this.#store.clock.now()) return undefined
    let revision = isMine ? mine.revision : this.#revisionOf(held, await this.#read(keys))
    for (let tries = 0; revision !== undefined && tries < triesMax; tries++) {
      const response = await write(isAt(keys.lease, revision))
      if (response.succeeded) return response.header.revision
      revision = this.#revisionOf(held, this.#found(keys, response))
    }
    if (revision !== undefined) throw changesTooOften(keys)
    return undefined
  }

  #revisionOf({ token, node }: HeldClaim, { lease, leaseLeftMs }: FillState): string | undefined {
    return lease?.token === token && lease.node === node && leaseLeftMs > 0 ? lease.kv.modRevision : undefined
  }

  /** Writes if all comparisons hold; else all records are returned. */
  #write(keys: FillKeys, compare: Comparison[], success: Operation[]): Promise<TxnResponse> {
    return this.#store.client.txn({ compare, success, failure: [range(prefixed(keys.prefix))] })
  }

  async #read(keys: FillKeys): Promise<FillState> {
    return this.#stateOf(keys, (await this.#store.client.range(prefixed(keys.prefix))).kvs)
  }

  /** Returns the records that a write has found which was not done. */
  #found(keys: FillKeys, response: TxnResponse): FillState {
    return this.#stateOf(keys, response.responses[0]?.responseRange?.kvs ?? [])
  }

  #stateOf(keys: FillKeys, kvs: ConstructorParameters<typeof FillState>[1]): FillState {
    return new FillState(keys, kvs, this.#store.sightings)
  }

  #keysOf({ repository, key }: { readonly repository: string; readonly key: string }): FillKeys {
    return this.#store.keys.fill(repository, key)
  }
}

const changesTooOften = ({ prefix }: FillKeys): EtcdError =>
  new EtcdError(`${prefix} was changed by others ${triesMax} times while it was to be written`)
