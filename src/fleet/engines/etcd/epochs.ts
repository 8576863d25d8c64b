import { randomBytes } from 'node:crypto'
import type { Epoch } from '../../engine.js'
import type { EtcdStore } from './etcd-store.js'
import {
  absent,
  isAt,
  prefixed,
  put,
  range,
  type KeyValue,
  type Operation,
  type OperationResponse,
  type TxnRequest,
  type TxnResponse,
} from './client/messages.js'

/** etcd permits 128 operations in a transaction: one for the incarnation and two for each repository. */
const batchSize = 63

/** Tries to find an incarnation: it is missing in a new etcd, and is replaced in one that was restored. */
const triesMax = 8

/**
 * The counts of repositories. etcd counts the writes of each key (`version`), so that counting needs neither a value nor a
 * comparison: it is one unconditional write, which does not fail because others count too. Leases that have expired are those
 * that were opened and neither ended nor are there any more, at the revision of the reading; nothing has to be repaired.
 */
export class Epochs {
  readonly #store: EtcdStore

  constructor(store: EtcdStore) {
    this.#store = store
  }

  async of(repositories: readonly string[]): Promise<Epoch[]> {
    const batches: Promise<Epoch[]>[] = []
    for (let at = 0; at < repositories.length; at += batchSize)
      batches.push(this.#batch(repositories.slice(at, at + batchSize)))
    return (await Promise.all(batches)).flat()
  }

  async change(repository: string): Promise<void> {
    await this.write({ success: this.counted(repository, 'changes') })
  }

  /** Writes counts. If etcd has lost writes, a new incarnation begins before this resolves. */
  async write(request: TxnRequest): Promise<TxnResponse> {
    const { client, revisions } = this.#store
    const before = revisions.newest
    const response = await client.txn(request)
    if (revisions.hasLost(response.header, before, response.succeeded)) await this.#replaceIncarnation()
    return response
  }

  /** Finds out whether etcd has lost writes. */
  async check(): Promise<void> {
    await this.#batch([])
  }

  /** Operations that count. */
  counted(repository: string, ...counts: ('openings' | 'ends' | 'changes')[]): Operation[] {
    const keys = this.#store.keys.counts(repository)
    return counts.map((count) => put(keys[count], ''))
  }

  async #batch(repositories: readonly string[]): Promise<Epoch[]> {
    const { client, keys, revisions } = this.#store
    const success = [
      range({ key: keys.incarnation }),
      ...repositories.flatMap((repository) => [
        range(prefixed(keys.counts(repository).prefix, { keysOnly: true })),
        range(prefixed(keys.leasesOf(repository), { countOnly: true })),
      ]),
    ]
    for (let tries = 0; tries < triesMax; tries++) {
      const before = revisions.newest
      const response = await client.txn({ success })
      const [first, ...rest] = response.responses
      const found = first?.responseRange?.kvs[0]
      const hasLost = revisions.hasLost(response.header, before, false)
      if (found && !hasLost) {
        const incarnation = `${response.header.clusterId}.${found.value}`
        return repositories.map((repository, index) =>
          this.#epoch(incarnation, repository, rest.slice(2 * index, 2 * index + 2)),
        )
      }
      await this.#beginIncarnation(found)
    }
    throw new Error('the incarnation in etcd is removed again and again')
  }

  async #replaceIncarnation(): Promise<void> {
    const { client, keys } = this.#store
    const { kvs } = await client.range({ key: keys.incarnation })
    await this.#beginIncarnation(kvs[0])
  }

  /** Writes a new incarnation in place of the one that was found. Of several nodes that do so, one succeeds. */
  async #beginIncarnation(found: KeyValue | undefined): Promise<void> {
    const { client, keys } = this.#store
    await client.txn({
      compare: [isAt(keys.incarnation, found?.modRevision ?? absent)],
      success: [put(keys.incarnation, randomBytes(16).toString('base64url'))],
    })
  }

  #epoch(incarnation: string, repository: string, [counts, leases]: OperationResponse[]): Epoch {
    const keys = this.#store.keys.counts(repository)
    const writes = new Map(counts?.responseRange?.kvs.map(({ key, version }) => [key, Number(version)]))
    const of = (key: string): number => writes.get(key) ?? 0
    const open = Number(leases?.responseRange?.count ?? 0)
    const expired = of(keys.openings) - of(keys.ends) - open
    return { incarnation, open, openings: of(keys.openings), changes: of(keys.changes) + expired }
  }
}
