import { randomBytes } from 'node:crypto'
import type { Epoch } from '../../engine.js'
import type { EtcdStore } from './etcd-store.js'
import {
  absent,
  isAt,
  prefixed,
  put,
  range,
  type Header,
  type KeyValue,
  type Operation,
  type OperationResponse,
} from './messages.js'

/** etcd permits 128 operations in a transaction: one for the incarnation and two for each repository. */
const batchSize = 63

/** Tries to find an incarnation: it is missing in a new etcd, and is replaced in one that was restored. */
const triesMax = 8

/** A revision of a cluster's data. */
interface Revision {
  readonly clusterId: string
  readonly number: number
}

/**
 * The counts of repositories. etcd counts the writes of each key (`version`), so that counting needs neither a value nor a
 * comparison: it is one unconditional write, which does not fail because others count too. Leases that have expired are those
 * that were opened and neither ended nor are there any more, at the revision of the reading; nothing has to be repaired.
 */
export class Epochs {
  readonly #store: EtcdStore
  /** The newest revision that an answer had. */
  #newest: Revision | undefined

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
    await this.#store.client.txn({ success: this.counted(repository, 'changes') })
  }

  /** Operations that count. */
  counted(repository: string, ...counts: ('openings' | 'ends' | 'changes')[]): Operation[] {
    const keys = this.#store.keys.counts(repository)
    return counts.map((count) => put(keys[count], ''))
  }

  async #batch(repositories: readonly string[]): Promise<Epoch[]> {
    const { client, keys } = this.#store
    const success = [
      range({ key: keys.incarnation }),
      ...repositories.flatMap((repository) => [
        range(prefixed(keys.counts(repository).prefix, { keysOnly: true })),
        range(prefixed(keys.leasesOf(repository), { countOnly: true })),
      ]),
    ]
    for (let tries = 0; tries < triesMax; tries++) {
      const before = this.#newest
      const response = await client.txn({ success })
      const [first, ...rest] = response.responses
      const found = first?.responseRange?.kvs[0]
      const hasLostWrites = before !== undefined && isOlder(response.header, before)
      this.#note(response.header)
      if (found && !hasLostWrites) {
        const incarnation = `${response.header.clusterId}.${found.value}`
        return repositories.map((repository, index) =>
          this.#epoch(incarnation, repository, rest.slice(2 * index, 2 * index + 2)),
        )
      }
      if (hasLostWrites) this.#newest = undefined
      await this.#beginIncarnation(found)
    }
    throw new Error('the incarnation in etcd is removed again and again')
  }

  #note(header: Header): void {
    const revision = { clusterId: header.clusterId, number: Number(header.revision) }
    const newest = this.#newest
    if (newest?.clusterId !== revision.clusterId || newest.number < revision.number) this.#newest = revision
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

/**
 * Does an answer come from an etcd that has lost writes, by a restored backup or by a disk that did not keep them? Its counts
 * must not be compared with those from before.
 * @param before the newest revision that was known when etcd was asked
 */
const isOlder = ({ clusterId, revision }: Header, before: Revision): boolean =>
  clusterId === before.clusterId && Number(revision) < before.number
