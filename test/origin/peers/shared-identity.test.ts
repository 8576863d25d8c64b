import t from 'tap'
import { PeerRefused } from '../../../src/fleet/peers/peer.js'
import { ageForPeer, askedAge } from '../../../src/origin/peers/shared-identity.js'

t.test('another node gets entries of half the longest age at either', (t) => {
  t.equal(ageForPeer({ maxAgeMs: Infinity }), Infinity)
  t.equal(ageForPeer({ maxAgeMs: Infinity }, 600), 300, 'the asking node allows no more')
  t.equal(ageForPeer({ maxAgeMs: 600 }, 10_000), 300)
  t.equal(ageForPeer({ maxAgeMs: 10_000 }, 600), 300)
  t.end()
})

t.test('a node that goes by leases does not answer one that reads the disk', (t) => {
  t.throws(() => ageForPeer({ maxAgeMs: 10_000 }, askedAge(Infinity).maxAgeMs), PeerRefused)
  t.same(askedAge(5), { maxAgeMs: 5 })
  t.end()
})
