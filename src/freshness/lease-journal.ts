import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { readRegularFile } from '../config/files.js'
import type { Lease } from './leases.js'

const schema = z.object({
  id: z.string().regex(/^[\w-]{22}$/),
  repository: z.string(),
  reason: z.string().optional(),
  openedAt: z.coerce.date(),
  ttlMs: z.number().positive(),
  expiresAt: z.coerce.date(),
})

/** Bytes of a lease: a path, a reason, and a few words. */
const leaseMax = 64 * 1024
/** Nothing but a regular file is written to, and nothing is waited for. */
const writing =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Open leases on disk, a file each, named by id. Written synchronously, before whoever opens a lease is told that it is
 * open: a few system calls, and what they wrote is there after kill -9. (After a power failure on this machine those
 * who were changing its repositories are gone as well, so nothing waits for the disk itself.)
 */
export class LeaseJournal {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Makes the directory and reads what an earlier process left in it. @throws the system's error */
  open(): Lease[] {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    return readdirSync(this.#directory).flatMap((name) => this.#read(name) ?? [])
  }

  /** @throws the system's error */
  write(lease: Lease): void {
    const path = join(this.#directory, lease.id)
    // Renamed into place: a renewal that breaks off must not lose the lease.
    const handle = openSync(`${path}.new`, writing, 0o600)
    try {
      writeFileSync(handle, JSON.stringify(lease))
    } finally {
      closeSync(handle)
    }
    renameSync(`${path}.new`, path)
  }

  /** @throws the system's error */
  remove(id: string): void {
    rmSync(join(this.#directory, id), { force: true })
  }

  #read(name: string): Lease | undefined {
    const path = join(this.#directory, name)
    let bytes: Buffer | undefined
    try {
      bytes = readRegularFile(path, leaseMax)
    } catch {
      // What the system does not let us read now may be a lease all the same: it stays for the next process.
      return undefined
    }
    try {
      const lease = schema.parse(JSON.parse(bytes?.toString() ?? ''))
      if (lease.id === name) return { ...lease, reason: lease.reason }
    } catch {
      // Broken off before anybody was told of it, or no lease at all.
    }
    try {
      rmSync(path, { recursive: true, force: true })
    } catch {
      // It stays in the way of nothing; the leases beside it count.
    }
    return undefined
  }
}
