import t from 'tap'
import { PeerRefused } from '../../../src/fleet/peers/peer.js'
import type { ObservedState } from '../../../src/freshness/observed-state.js'
import { FreshCache } from '../../../src/freshness/fresh-cache.js'
import { sharedIdentityOf } from '../../../src/origin/peers/shared-identity.js'
import { DiskPeers } from '../../../src/origin/disk/disk-peers.js'
import { DiskRefs, type DiskRefsOptions } from '../../../src/origin/disk/disk-refs.js'
import { keyOf } from '../../../src/origin/disk/entry-keys.js'
import type { DiskQuestion } from '../../../src/origin/peers/peer-question.js'
import { findRepository } from '../../support/found-repository.js'
import { stateOf } from '../../support/pack-observations.js'
import { collect, producerOf } from '../../support/producers.js'
import { makeRepository } from '../../support/repositories.js'
import { openCache } from '../../support/stream-cache.js'
import { tempDir } from '../../support/temp-dir.js'

/** A node that has a committed listing of a repository's state. */
async function holder(t: Parameters<typeof openCache>[0], refs: Partial<ObservedState>) {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const repository = findRepository(root, 'r.git')!
  const { cache } = await openCache(t)
  const freshCache = new FreshCache(cache)
  const state = { ...stateOf('s'), ...refs }
  const reading = await freshCache.read(keyOf('listing', 'sha1', repository.gitDir), state, () => ({
    observe: async () => state,
    producer: () => producerOf(Buffer.from('kept')),
  }))
  t.equal(String(await collect(reading.follower)), 'kept')
  await reading.entry.end()
  const served = {
    observe: async () => ({ repository, refs: state, capabilities: state }),
    servingConfig: () => ({ shared: true, objectFormat: 'sha1', digest: '' }),
  }
  const options = { served, cache: freshCache, listings: { holds: () => true } }
  const answers = new DiskPeers({
    refs: new DiskRefs(options as unknown as DiskRefsOptions),
    packs: { readForPeer: () => Promise.reject(new Error('no packs')) },
    cache: freshCache,
  })
  const question: DiskQuestion = {
    ...{ origin: 'disk', path: 'r.git', repository: sharedIdentityOf(repository, { digest: '' }) },
    asked: { kind: 'listing', objectFormat: 'sha1' },
  }
  return { answers, question }
}

t.test('a node that reads the disk is answered by one that does', async (t) => {
  const { answers, question } = await holder(t, {})
  const { follower } = await answers.answer(question)
  t.equal(String(await collect(follower)), 'kept')
})

t.test('where leases decide, only those are answered that allow an age', async (t) => {
  const { answers, question } = await holder(t, { maxAgeMs: 600_000 })
  // A change without a lease, which the asking node has seen on its disk, is not seen here.
  const refusal = await answers.answer(question).catch((error: unknown) => error)
  t.ok(refusal instanceof PeerRefused)
  t.match(refusal, { why: 'different' }, 'so that the asking node makes the fill itself')
  const { follower } = await answers.answer({ ...question, maxAgeMs: 600_000 })
  t.equal(String(await collect(follower)), 'kept')
})
