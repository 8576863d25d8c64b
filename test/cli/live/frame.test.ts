import t from 'tap'
import { frame } from '../../../src/cli/live/frame.js'
import type { Status } from '../../../src/status/model.js'

const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 12, 0, second)).toISOString()

const quiet: Status = {
  ...{ at: at(0), uptimeSeconds: 7200, ready: { isReady: true } },
  ...{ versions: { refstream: '1.2.3', node: '24.0.0', git: '2.50.0' } },
  ...{ processes: { expected: 1, answered: 1 } },
  requests: { underWay: 0, waiting: 0, followers: 0, sentBytes: 0, byOutcome: {} },
  ...{ fills: { count: 0, oldest: [] }, permits: { limit: 4, processes: 0, classes: [] } },
  ...{ leases: { open: 0, next: [] }, failures: [] },
  ...{ top: { spanSeconds: 600, byRequests: [], byBytes: [], byFills: [] } },
  ...{ entries: { count: 0, bytes: 0, memoryBytes: 0, isShort: false } },
  ...{ packs: { count: 0, bytes: 0, memoryBytes: 0, isShort: false } },
  ...{ listingBytes: 0, upstreams: [], certificates: [], settings: {} },
}

t.test('at rest it is a few lines', async (t) => {
  t.same(frame(quiet, undefined, 'http://127.0.0.1:1'), [
    'refstream  1.2.3 at http://127.0.0.1:1, Git 2.50.0, up 2 h, ready',
    'requests   0 under way, 0 waiting, 0 followers, 0 B sent',
    'Git        0 of 4 processes, 0 leases',
    'kept       0 entries (0 B), 0 packs (0 B)',
  ])
})

t.test('all that goes on has its lines', async (t) => {
  const busy: Status = {
    ...quiet,
    ...{
      at: at(2),
      ready: { isReady: false, reason: 'overloaded' },
      processes: { expected: 3, answered: 2 },
    },
    requests: { underWay: 5, waiting: 2, followers: 4, sentBytes: 2048, byOutcome: { hit: 6, filled: 2 } },
    fills: {
      count: 1,
      oldest: [
        {
          ...{ id: 1, kind: 'advertisement', key: 'advertisement v2 a.git', producer: 'git' },
          ...{ phase: 'streaming', ageMs: 1500, bytes: 1024, followers: 4, worker: 2 },
        },
      ],
    },
    permits: { limit: 4, processes: 1, classes: [{ class: 'refs', running: 1, waiting: 3 }] },
    leases: { open: 1, next: [{ repository: 'a.git', reason: 'push', openedAt: at(0), expiresAt: at(9) }] },
    failures: [
      { event: 'git', subject: 'upload-pack', message: 'fatal: \x1b[2J', count: 2, firstAt: 0, lastAt: 0 },
      { event: 'shed', subject: '', message: 'too many', count: 1, firstAt: 0, lastAt: 0 },
    ],
    top: { ...quiet.top, byRequests: [{ key: 'a.git', count: 8, error: 0 }] },
    entries: { ...quiet.entries, isShort: true },
    upstreams: [
      {
        ...{
          name: 'git.example:443',
          breaker: 'open',
          connections: 1,
          clientRequests: 10,
          upstreamRequests: 1,
        },
        ...{ quotient: 0.1, answeredSecondsAgo: 3 },
      },
      { name: 'other:443', breaker: 'closed', connections: 0, clientRequests: 0, upstreamRequests: 0 },
    ],
    certificates: [
      { setting: 'tls-cert', expiresAt: at(1) },
      { setting: 'peer-tls-cert', expiresAt: at(60 * 86_400) },
    ],
    fleet: { node: 'a', isEngineUp: false, live: ['a', 'b'], configured: ['a', 'b', 'c'] },
  }
  t.same(frame(busy, quiet, 'unix:/run/admin'), [
    'refstream  1.2.3 at unix:/run/admin, Git 2.50.0, up 2 h, not ready: overloaded',
    'workers    2 of 3',
    'requests   4.0/s, 75 % without a fill, 1.0 KiB/s, 5 under way, 2 waiting, 4 followers, 2.0 KiB sent',
    'Git        1 of 4 processes, 3 waiting for refs, 1 leases',
    'kept       0 entries (0 B, the disk is too full for more), 0 packs (0 B)',
    'upstream   git.example:443: breaker open, quotient 0.100, answered 3.0 s ago',
    'upstream   other:443: breaker closed, no answer yet',
    'fleet      node a, 2 of 3 nodes alive, engine away',
    '',
    'fills under way: 1',
    '    age    bytes  followers  phase      by             key',
    '  1.5 s  1.0 KiB          4  streaming  git, worker 2  advertisement v2 a.git',
    '',
    'failures of late',
    '  last      times  what  of what, and why',
    '  00:00:00      2  git   upload-pack: fatal: \\x1b[2J',
    '  00:00:00      1  shed  too many',
    '',
    'leases',
    '  expires   repository',
    '  12:00:09  a.git (push)',
    '',
    'certificates that expire within 14 days',
    '  expires                           setting',
    '  expired 2026-01-01T12:00:01.000Z  tls-cert',
    '',
    'most requests in 10 min',
    '  requests  repository',
    '         8  a.git',
  ])
})
