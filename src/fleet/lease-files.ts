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
import { readFileUpTo } from '../config/files.js'

/** Most bytes of a lease's file: a path, a reason, and a few short fields. */
const leaseMax = 64 * 1024
/** Does not follow a link, and does not wait on a pipe. */
const writeFlags =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Open mutator leases on disk, one file each, named by id. A file is written synchronously before the client is told that
 * its lease is open: a few system calls, whose effect survives kill -9. There is no fsync(2): after a power failure the
 * processes that were changing repositories on this machine have ended as well.
 */
export class LeaseFiles<Lease extends { readonly id: string }> {
  readonly #directory: string
  readonly #parse: (value: unknown) => Lease

  /** @param parse checks what was read from a file, its id included; throws if it is no lease */
  constructor(directory: string, parse: (value: unknown) => Lease) {
    this.#directory = directory
    this.#parse = parse
  }

  /** Creates the directory and reads the leases that an earlier process left in it. @throws the system's error */
  open(): Lease[] {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    return readdirSync(this.#directory).flatMap((name) => this.#read(name) ?? [])
  }

  /** Writes a lease, in place of an older version. @throws the system's error */
  write(lease: Lease): void {
    const path = join(this.#directory, lease.id)
    // Renamed into place: a renewal that is interrupted must not lose the lease.
    const handle = openSync(`${path}.new`, writeFlags, 0o600)
    try {
      writeFileSync(handle, JSON.stringify(lease))
    } finally {
      closeSync(handle)
    }
    renameSync(`${path}.new`, path)
  }

  /** Removes a lease. @throws the system's error */
  remove(id: string): void {
    rmSync(join(this.#directory, id), { force: true })
  }

  #read(name: string): Lease | undefined {
    const path = join(this.#directory, name)
    let bytes: Buffer | undefined
    try {
      bytes = readFileUpTo(path, leaseMax)
    } catch {
      // A file that cannot be read now may still be a lease: it stays for the next process.
      return undefined
    }
    try {
      const lease = this.#parse(JSON.parse(bytes?.toString() ?? ''))
      if (lease.id === name) return lease
    } catch {
      // Interrupted before the client was told of the lease, or no lease at all.
    }
    try {
      rmSync(path, { recursive: true, force: true })
    } catch {
      // A file that stays does no harm; the other leases are still read.
    }
    return undefined
  }
}
