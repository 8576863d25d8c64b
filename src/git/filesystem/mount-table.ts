import { readFileSync } from 'node:fs'
import { mayHang, parseMountinfo, reachable, type Mount } from './mountinfo.js'
import { PathGuard } from './path-guard.js'

/** Shortest time between two readings in milliseconds, and as a multiple of what a reading takes: 0.2 % of a processor. */
const readAgainMs = 100
const readAgainFactor = 500

/** Where there is no table: other systems than Linux, or no /proc. */
const noMounts: ReadonlyMap<string, Mount> = new Map()

/**
 * The mounts that this process sees, from the kernel's table (proc_pid_mountinfo(5)): unlike a system call with a path,
 * reading it never waits for a filesystem.
 */
export class MountTable {
  readonly #read: () => Buffer
  readonly #now: () => number
  #text: Buffer | undefined
  #mounts = noMounts
  #remote: readonly Mount[] = []
  #nextAtMs = -Infinity
  /** By the ids of mounts that may be used. */
  readonly #guards = new Map<string, PathGuard>()

  constructor(
    read: () => Buffer = () => readFileSync('/proc/self/mountinfo'),
    now: () => number = () => performance.now(),
  ) {
    this.#read = read
    this.#now = now
  }

  /** Returns a guard against mounts that may hang; undefined: there are none except those of `allowed`, by id. */
  guard(allowed: readonly string[] = []): PathGuard | undefined {
    if (this.#now() >= this.#nextAtMs) this.#refresh()
    if (this.#remote.length === 0) return undefined
    const key = allowed.join(' ')
    let guard = this.#guards.get(key)
    if (!guard) {
      guard = new PathGuard(this.#remote.filter(({ id }) => !allowed.includes(id)))
      this.#guards.set(key, guard)
    }
    return guard.isNeeded ? guard : undefined
  }

  /** Returns the mount that a path free of links lies on; undefined: unknown. */
  at(path: string): Mount | undefined {
    if (this.#now() >= this.#nextAtMs) this.#refresh()
    for (let prefix = path; prefix !== ''; prefix = prefix.slice(0, prefix.lastIndexOf('/'))) {
      const mount = this.#mounts.get(prefix)
      if (mount) return mount
    }
    return this.#mounts.get('/')
  }

  #refresh(): void {
    const startedAtMs = this.#now()
    // Guards remember paths that they have checked against the previous reading.
    this.#guards.clear()
    try {
      const text = this.#read()
      if (!this.#text?.equals(text)) {
        this.#text = text
        this.#mounts = reachable(parseMountinfo(text))
        this.#remote = [...this.#mounts.values()].filter(mayHang)
      }
    } catch {
      this.#mounts = noMounts
      this.#remote = []
      this.#text = undefined
    }
    const endedAtMs = this.#now()
    this.#nextAtMs = endedAtMs + Math.max(readAgainMs, readAgainFactor * (endedAtMs - startedAtMs))
  }
}
