import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Lease } from './leases.js'

const schema = z.object({
  id: z.string().regex(/^[\w-]{22}$/),
  repository: z.string(),
  reason: z.string().optional(),
  openedAt: z.coerce.date(),
  ttlMs: z.number().positive(),
  expiresAt: z.coerce.date(),
})

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
    writeFileSync(`${path}.new`, JSON.stringify(lease), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }

  /** @throws the system's error */
  remove(id: string): void {
    rmSync(join(this.#directory, id), { force: true })
  }

  #read(name: string): Lease | undefined {
    const path = join(this.#directory, name)
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (error) {
      // What the system does not let us read now may be a lease all the same: it stays for the next process.
      if ((error as NodeJS.ErrnoException).code !== 'EISDIR') return undefined
      text = ''
    }
    try {
      const lease = schema.parse(JSON.parse(text))
      if (lease.id === name) return { ...lease, reason: lease.reason }
    } catch {
      // Broken off before anybody was told of it.
    }
    try {
      rmSync(path, { recursive: true, force: true })
    } catch {
      // It stays in the way of nothing; the leases beside it count.
    }
    return undefined
  }
}
