import t from 'tap'
import { mergeStatuses } from '../../src/status/merge.js'
import type { Status } from '../../src/status/model.js'

const kept = { count: 1, bytes: 10, memoryBytes: 5, isShort: false }
const one: Status = {
  at: '2026-01-01T00:00:00.000Z',
  uptimeSeconds: 5,
  ready: { isReady: true },
  versions: { refstream: '1', node: '20' },
  processes: { expected: 1, answered: 1 },
  requests: { underWay: 1, waiting: 2, followers: 3, sentBytes: 4, byOutcome: { hit: 5 } },
  fills: {
    count: 1,
    oldest: [
      {
        ...{ id: 1, kind: 'pack', key: 'k', producer: 'git', phase: 'waiting' },
        ...{ ageMs: 10, bytes: 0, followers: 1 },
      },
    ],
  },
  permits: { limit: 4, processes: 1, classes: [{ class: 'fill', running: 1, waiting: 0 }] },
  leases: { open: 2, next: [] },
  failures: [{ event: 'fill', subject: 's', message: 'm', count: 1, firstAt: 10, lastAt: 10 }],
  top: { spanSeconds: 5, byRequests: [{ key: 'a', count: 2, error: 1 }], byBytes: [], byFills: [] },
  entries: kept,
  packs: kept,
  listingBytes: 1,
  upstreams: [
    { name: 'u', breaker: 'closed', connections: 1, clientRequests: 4, upstreamRequests: 2, quotient: 0.5 },
  ],
  certificates: [],
  settings: {},
}

t.test('what workers count is added up, and what they share is shown once', async (t) => {
  const other: Status = {
    ...one,
    uptimeSeconds: 9,
    ready: { isReady: false, reason: 'overloaded' },
    requests: { ...one.requests, byOutcome: { hit: 1, filled: 1 } },
    fills: { count: 1, oldest: [{ ...one.fills.oldest[0]!, ageMs: 20 }] },
    failures: [{ ...one.failures[0]!, firstAt: 5, lastAt: 20 }],
    entries: { ...kept, isShort: true },
    upstreams: [{ ...one.upstreams[0]!, breaker: 'open', upstreamRequests: 4, answeredSecondsAgo: 3 }],
  }
  const all = mergeStatuses(
    [
      { worker: 1, status: one },
      { worker: 2, status: other },
    ],
    3,
  )
  t.same(all.processes, { expected: 3, answered: 2 })
  t.same(all.ready, { isReady: false, reason: 'overloaded' })
  t.equal(all.uptimeSeconds, 9)
  t.same(all.requests, {
    underWay: 2,
    waiting: 4,
    followers: 6,
    sentBytes: 8,
    byOutcome: { hit: 6, filled: 1 },
  })
  t.same(
    all.fills.oldest.map(({ worker, ageMs }) => [worker, ageMs]),
    [
      [2, 20],
      [1, 10],
    ],
  )
  t.same(all.permits, { limit: 8, processes: 2, classes: [{ class: 'fill', running: 2, waiting: 0 }] })
  t.equal(all.leases.open, 2)
  t.same(all.failures, [{ ...one.failures[0], count: 2, firstAt: 5, lastAt: 20 }])
  t.same(all.top.byRequests, [{ key: 'a', count: 4, error: 2 }])
  t.same(all.entries, { count: 2, bytes: 20, memoryBytes: 10, isShort: true })
  t.match(all.upstreams, [
    { name: 'u', breaker: 'open', connections: 2, quotient: 0.75, answeredSecondsAgo: 3 },
  ])
})
