import t from 'tap'
import { KeptAnswers } from '../../../../src/origin/upstream/refs/kept-answers.js'
import { viewOf } from '../../../../src/origin/upstream/credentials/view.js'
import { Upstreams } from '../../../../src/origin/upstream/upstreams.js'
import { fill, openAged } from '../../../support/aged-rig.js'

const second = 1000

t.test('what is kept of a repository is told with what the next request does', async (t) => {
  const rig = await openAged(t)
  const upstream = {
    ...{ name: 'far.example:443', url: 'https://far.example', service: undefined },
    ...{ followsRenames: true, isShared: false },
    client: { request: () => Promise.reject(new Error('not asked')) },
  }
  let maxAgeMs = 60 * second
  const upstreams = new Upstreams({
    rules: [{ matches: (path) => path !== 'here', upstream }],
    maxAgeMsOf: () => maxAgeMs,
    viewOf,
  })
  const statusOf = (subject: string) => rig.leases.statusOf(subject)
  const kept = new KeptAnswers({ upstreams, aged: rig.aged, cache: rig.cache, statusOf, clock: rig.clock })
  t.equal(kept.of('here'), undefined)
  t.same(kept.of('team/a b.git'), {
    ...{ name: 'far.example:443', maxAgeMs: 60 * second, leasesOpen: 0, entries: [], count: 0 },
  })
  const { subject } = upstreams.find({ path: 'team/a b.git' })
  const keyOf = (what: string, view: string) => `upstream-${what} ${view} https://far.example/team/a%20b.git`
  const view = viewOf({ authorization: 'Basic YTox' })
  await fill(rig, 'capabilities', { key: keyOf('advertisement v2', 'anonymous'), subject, maxAgeMs })
  rig.clock.advance(40 * second)
  await fill(rig, 'refs', { key: keyOf('listing Zm9v', view), subject, maxAgeMs })
  await fill(rig, 'other', { key: `${keyOf('listing Zm9v', view)}.wiki`, subject, maxAgeMs })
  rig.clock.advance(30 * second)
  const told = () =>
    kept
      .of('team/a b.git')!
      .entries.map(({ prospect }) => prospect)
      .toSorted()
  t.same(
    kept.of('team/a b.git')!.entries.toSorted((a, b) => (a.kind < b.kind ? -1 : 1)),
    [
      { kind: 'advertisement v2', view: 'anonymous', bytes: 12, ageMs: 70 * second, prospect: 'outdated' },
      { kind: 'listing', view: 'credentials', bytes: 4, ageMs: 30 * second, prospect: 'hit' },
    ],
  )
  maxAgeMs = 0
  t.same(told(), ['exact', 'exact'])
  maxAgeMs = 60 * second
  const { id } = rig.leases.open(subject, 60 * second)
  t.same(told(), ['lease', 'lease'])
  rig.leases.end(id, 'changed')
  t.same(told(), ['outdated', 'outdated'], 'the end of a lease tells of a change')
})
