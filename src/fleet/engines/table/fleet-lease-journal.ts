import type { NewFleetLease } from '../../engine.js'

/** An open mutator lease as it is kept over a crash of the process that has the table. */
export interface JournaledLease extends NewFleetLease {
  /** In milliseconds since 1970. */
  readonly expiresAtMs: number
}

/** Keeps open mutator leases over a crash: a change that was under way is still known to be under way afterwards. */
export interface FleetLeaseJournal {
  /** Reads the leases that an earlier process has left. @throws the system's error */
  open(): JournaledLease[]
  /** Writes a lease, in place of an older version; it survives a crash of the process from the return on. @throws the system's error */
  write(lease: JournaledLease): void
  /** Removes a lease. @throws the system's error */
  remove(id: string): void
}
