import type { EtcdStore } from './etcd-store.js'
import { prefixed, put, range, remove } from './client/messages.js'
import { encode, memberOf } from './records.js'

/** The nodes that have said lately that they are alive. */
export class Members {
  readonly #store: EtcdStore

  constructor(store: EtcdStore) {
    this.#store = store
  }

  async beat(node: string, ttlMs: number): Promise<string[]> {
    const { client, keys, leases, sightings } = this.#store
    const beaten = await leases.attach({ owner: '', ttlMs }, (lease) =>
      client.txn({
        success: [put(keys.member(node), encode({ ttlMs }), lease), range(prefixed(keys.members))],
      }),
    )
    const kvs = beaten.responses.at(-1)?.responseRange?.kvs ?? []
    return kvs.flatMap((kv) => {
      const member = memberOf(kv)
      return member && sightings.leftMs(kv, member.ttlMs) > 0 ? [kv.key.slice(keys.members.length)] : []
    })
  }

  async leave(node: string): Promise<void> {
    const { client, keys, leases } = this.#store
    await client.txn({ success: [remove(keys.member(node))] })
    await leases.revoke(node)
  }
}
