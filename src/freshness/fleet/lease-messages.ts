import * as z from 'zod'
import { repositoryOfLease, type NewFleetLease } from '../../fleet/engine.js'

const lease = z.object({
  id: z.string().refine((id) => repositoryOfLease(id) !== undefined),
  name: z.string().max(10_000),
  reason: z.string().max(1000).optional(),
  openedAtMs: z.number(),
  ttlMs: z.number().positive(),
})

const schema = z.discriminatedUnion('do', [
  z.object({ about: z.literal('leases'), do: z.literal('hello') }),
  /** `leftMs`: until it expires; left out: its whole time limit. */
  z.object({
    about: z.literal('leases'),
    do: z.literal('open'),
    lease,
    leftMs: z.number().positive().optional(),
  }),
  /** The engine knows of the lease now. */
  z.object({ about: z.literal('leases'), do: z.literal('moved'), id: z.string() }),
  z.object({ about: z.literal('leases'), do: z.literal('end'), id: z.string(), changed: z.boolean() }),
  z.object({ about: z.literal('leases'), do: z.literal('change'), repository: z.string() }),
])

/** What nodes tell each other of leases and changes while one of them cannot tell the engine. */
export type LeaseMessage = z.infer<typeof schema>

/** Returns a message about leases; undefined: it is about something else, or of a version that is not known here. */
export const parseLeaseMessage = (message: unknown): LeaseMessage | undefined =>
  schema.safeParse(message).data

/** Returns the lease that a message is about. */
export const leaseOf = ({ lease }: Extract<LeaseMessage, { do: 'open' }>): NewFleetLease => ({
  ...lease,
  reason: lease.reason,
  repository: repositoryOfLease(lease.id) ?? '',
})

/** @param leftMs until the lease's time limit */
export const openMessage = (
  { id, name, reason, openedAtMs, ttlMs }: NewFleetLease,
  leftMs: number,
): LeaseMessage => ({
  about: 'leases',
  do: 'open',
  lease: { id, name, openedAtMs, ttlMs, ...(reason === undefined ? {} : { reason }) },
  leftMs,
})
