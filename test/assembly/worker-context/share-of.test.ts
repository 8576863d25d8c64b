import t from 'tap'
import { divided, shareOf } from '../../../src/assembly/worker-context/share-of.js'
import { options } from '../../../src/config/options/options.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'

const settingsOf = (flags: Record<string, unknown> = {}) =>
  resolveSettings(readFlags({ root: '/srv/git', ...flags }))

/** Numbers that hold for each worker as they are. A new setting must be put on one of the two lists. */
const whole = [
  // How many of them there are.
  'workers',
  // Times and ages.
  ...[
    'drainSeconds',
    'authCacheSeconds',
    'authTimeoutSeconds',
    'observeTimeoutSeconds',
    'unleasedMaxAgeSeconds',
    'accessLogSlowSeconds',
  ],
  ...['leaseMaxSeconds', 'cacheMaxAgeSeconds', 'packMaxAgeSeconds', 'packGraceSeconds', 'fillTimeoutSeconds'],
  ...[
    'fillSilenceSeconds',
    'fillFirstByteSeconds',
    'passThroughSilenceSeconds',
    'queueWaitSeconds',
    'busySeconds',
  ],
  ...['clientIdleSeconds', 'requestIdleSeconds', 'upstreamStaleSeconds', 'upstreamConnectSeconds'],
  ...['upstreamHeadSeconds', 'upstreamSilenceSeconds'],
  // Of one entry, one repository, one fill, one request, one client, one answer.
  ...['cacheMaxEntryBytes', 'packCacheMaxEntryBytes', 'maxLeadBytes', 'maxFillsPerRepository', 'fillRetries'],
  ...[
    'maxPassThroughPerRepository',
    'maxRefDirectories',
    'maxLooseRefs',
    'compressionMinBytes',
    'maxHeaderBytes',
  ],
  ...['clientMinRate', 'requestMinRate', 'shedStatus'],
  // Permissions.
  'listenMode',
  // What the filesystem must have left.
  ...['cacheMinFreeBytes', 'cacheMinFreeInodes'],
]

t.test('each number is either divided or not', async (t) => {
  const settings = settingsOf()
  const numbers = options.map(({ key }) => key).filter((key) => typeof settings[key] === 'number')
  t.same([...numbers].sort(), [...Object.keys(divided), ...whole].sort())
})

t.test('shares are rounded up, and are enough to work with', async (t) => {
  const settings = settingsOf({ maxProcesses: 16, maxRequests: 20_001, maxPackProcesses: 2 })
  const share = shareOf(settings, 2)
  t.match(share, {
    maxProcesses: 8,
    maxRequests: 10_001,
    maxPackProcesses: 1,
    queueMax: 128,
    hotMaxBytes: 32 << 20,
  })
  for (const key of whole)
    t.equal(share[key as keyof typeof share], settings[key as keyof typeof settings], key)
  t.equal(share.root, settings.root)
  const many = shareOf(settings, 64)
  t.match(many, { maxProcesses: 3, maxPackProcesses: 1, upstreamConnections: 3, queueMax: 4 })
  t.same(shareOf(settings, 1), settings)
  const none = shareOf(settingsOf({ hotMaxBytes: '0', packCacheMaxBytes: '0' }), 4)
  t.match(none, { hotMaxBytes: 0, packCacheMaxBytes: 0 }, 'what is off stays off')
})
