import { createHash } from 'node:crypto'

/** Returns what stands for a lease in the log: its id is a secret. */
export const leaseDigest = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 16)
