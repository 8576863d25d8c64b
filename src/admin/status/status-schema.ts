import * as z from 'zod'
import type { Status } from '../../status/model.js'

const count = z.number()
const text = z.string()

const hitters = z.array(z.object({ key: text, count, error: count })).meta({
  description: 'The true sum is at most count, and at least count - error (Space-Saving sketch).',
})
const kept = z.object({ count, bytes: count, memoryBytes: count, isShort: z.boolean() })

const fill = z.object({
  id: count,
  kind: text,
  key: text,
  producer: z.enum(['git', 'upstream', 'peer']),
  phase: z.enum(['waiting', 'begun', 'streaming', 'committing']),
  ageMs: count,
  bytes: count,
  followers: count,
  worker: count.optional(),
})

const lease = z.object({
  repository: text,
  reason: text.optional(),
  openedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
})

const upstream = z.object({
  name: text,
  breaker: z.enum(['closed', 'open']),
  connections: count,
  clientRequests: count,
  upstreamRequests: count,
  quotient: count.optional().meta({ description: 'upstreamRequests ÷ clientRequests; at most 1.' }),
  answeredSecondsAgo: count.optional(),
})

const failure = z.object({
  event: z.enum(['git', 'fill', 'request', 'shed']),
  subject: text,
  message: text,
  count,
  firstAt: count,
  lastAt: count,
})

export const statusSchema = z.object({
  at: z.iso.datetime(),
  uptimeSeconds: count,
  ready: z.object({ isReady: z.boolean(), reason: text.optional() }),
  versions: z.object({ refstream: text, node: text, git: text.optional() }),
  processes: z.object({ expected: count, answered: count }),
  requests: z.object({
    underWay: count,
    waiting: count,
    followers: count,
    sentBytes: count,
    byOutcome: z.record(text, count),
  }),
  fills: z.object({ count, oldest: z.array(fill) }),
  permits: z.object({
    limit: count,
    processes: count,
    classes: z.array(z.object({ class: text, running: count, waiting: count })),
  }),
  leases: z.object({ open: count, next: z.array(lease).optional() }),
  failures: z.array(failure),
  top: z.object({ spanSeconds: count, byRequests: hitters, byBytes: hitters, byFills: hitters }),
  entries: kept,
  packs: kept,
  listingBytes: count,
  upstreams: z.array(upstream),
  fleet: z
    .object({ node: text, isEngineUp: z.boolean(), live: z.array(text), configured: z.array(text) })
    .optional(),
  certificates: z.array(z.object({ setting: text, expiresAt: z.iso.datetime() })).meta({
    description: 'Those in use, by the setting that names their file; the first to expire first.',
  }),
  settings: z.record(text, z.unknown()).meta({ description: 'Those that differ from their defaults.' }),
}) satisfies z.ZodType<Status>
