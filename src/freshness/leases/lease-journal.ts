import * as z from 'zod'
import { LeaseFiles } from '../../fleet/lease-files.js'
import type { Lease } from './lease.js'

const schema = z.object({
  id: z.string().regex(/^[\w-]{22}$/),
  repository: z.string(),
  reason: z.string().optional(),
  openedAt: z.coerce.date(),
  ttlMs: z.number().positive(),
  expiresAt: z.coerce.date(),
})

/** The open leases of a process without a fleet, on disk. */
export class LeaseJournal extends LeaseFiles<Lease> {
  constructor(directory: string) {
    super(directory, (value) => {
      const lease = schema.parse(value)
      return { ...lease, reason: lease.reason }
    })
  }
}
