import * as z from 'zod'
import { repositoryOfLease, type NewFleetLease } from '../../engine.js'
import { LeaseFiles } from '../../lease-files.js'

/** An open mutator lease as it is kept over a crash of the process that has the table. */
export interface JournaledLease extends NewFleetLease {
  /** In milliseconds since 1970. */
  readonly expiresAtMs: number
}

/** Keeps open mutator leases over a crash: a change that was under way is still known to be under way afterwards. */
export interface FleetLeaseJournal {
  /** Reads the leases that an earlier process has left. @throws the system's error */
  open(): JournaledLease[]
  /** Writes a lease, in place of an older version; it survives a crash that comes after the return. @throws the system's error */
  write(lease: JournaledLease): void
  /** Removes a lease. @throws the system's error */
  remove(id: string): void
}

const schema = z.object({
  id: z.string().max(200),
  repository: z.string(),
  name: z.string(),
  reason: z.string().optional(),
  openedAtMs: z.number(),
  ttlMs: z.number().positive(),
  expiresAtMs: z.number(),
})

/** The open mutator leases of a table, on disk. */
export class FleetLeaseFiles extends LeaseFiles<JournaledLease> implements FleetLeaseJournal {
  constructor(directory: string) {
    super(directory, (value) => {
      const lease = schema.parse(value)
      // Ids name files: one that this fleet has not made is no lease.
      if (repositoryOfLease(lease.id) !== lease.repository) throw new Error('an id of another form')
      return { ...lease, reason: lease.reason }
    })
  }
}
