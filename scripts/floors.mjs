/**
 * The rooms of src/, from the top floor down. A room may import the rooms on lower floors only, so that a request walks
 * down one staircase and never back up; assembly/ puts the rooms together. streamcache/ can be published alone and
 * imports none. eslint.config.js and test/architecture.test.ts hold this.
 */
export const floors = [
  ['cli'],
  ['assembly'],
  ['server'],
  ['http', 'grpc', 'admin'],
  ['service'],
  ['origin'],
  ['freshness'],
  ['fleet'],
  ['streamcache', 'git', 'access'],
  ['config', 'telemetry', 'limits', 'status'],
]

/** Rooms that import no other room at all. */
export const closedRooms = ['streamcache']

/**
 * The same inside a room: a name is a room inside it, `.` all files that stand directly in it, or else, each with a floor
 * of its own, `NAME.ts`. Places on one floor do not import one another.
 */
export const innerFloors = {
  access: [
    ['access.ts'],
    ['external-authorizer.ts', 'passwords', 'rules.ts', 'tokens.ts', 'client-certificate.ts'],
    [
      'access-request.ts',
      'credentials.ts',
      'decision-cache.ts',
      'errors.ts',
      'names.ts',
      'upstream-names.ts',
    ],
    ['proxies.ts'],
    ['forwarded.ts'],
  ],
  admin: [
    ['server.ts'],
    ['page', 'status', 'lease-api.ts', 'webhooks.ts', 'openapi.ts', 'router.ts', 'audit.ts'],
    ['bodies.ts', 'hosts.ts', 'problem-of.ts'],
    ['endpoint.ts'],
  ],
  assembly: [
    ['workers'],
    ['.'],
    ['origins', 'credentials'],
    ['cache', 'environment'],
    ['limits'],
    ['status'],
    ['fleet'],
    ['worker-context'],
  ],
  cli: [['.'], ['commands'], ['completion', 'doctor', 'admin'], ['live']],
  config: [['.'], ['cross-checks'], ['options'], ['values']],
  server: [['.'], ['proxy-protocol']],
  http: [['http2'], ['.']],
  grpc: [
    ['server.ts'],
    ['services'],
    ['admin-call.ts', 'authorize.ts'],
    ['audit.ts'],
    ['call.ts'],
    ['status.ts'],
    ['transport', 'proto'],
  ],
  origin: [['both'], ['disk', 'upstream'], ['packs'], ['peers'], ['.'], ['faults', 'deltas']],
  freshness: [['aged', 'fleet'], ['.'], ['leases']],
  fleet: [['fills'], ['engines', 'peers'], ['.']],
  git: [['hook'], ['process'], ['state'], ['filesystem', 'protocol']],
  streamcache: [['.'], ['growing'], ['revisions', 'fill'], ['disk'], ['memory'], ['waiting']],
  telemetry: [['monitoring', 'tracing'], ['.'], ['metrics', 'tallies']],
  limits: [['admission', 'connection', 'process'], ['queue'], ['.']],
}
