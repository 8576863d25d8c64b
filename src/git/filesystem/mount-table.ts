import { readFileSync } from 'node:fs'
import { mayHang, parseMountinfo, reachable, type Mount } from './mountinfo.js'
import { PathGuard } from './path-guard.js'

/** Least time between two readings in milliseconds, and how much longer than a reading takes: 0.2 % of a processor. */
const readAgainMs = 100
const readAgainFactor = 500

/** Where no table can be had: other systems than Linux, or no /proc. */
const nothing: ReadonlyMap<string, Mount> = new Map()

/**
 * The mounts that this process sees, from the kernel's own table: unlike any question about a path, reading it never
 * waits for a filesystem.
 */
export class MountTable {
  readonly #read: () => Buffer
  readonly #now: () => number
  #text: Buffer | undefined
  #mounts = nothing
  #remote: readonly Mount[] = []
  #nextAtMs = -Infinity
  /** Without the mounts of these ids, which may be touched. */
  readonly #guards = new Map<string, PathGuard>()

  constructor(
    read: () => Buffer = () => readFileSync('/proc/self/mountinfo'),
    now: () => number = () => performance.now(),
  ) {
    this.#read = read
    this.#now = now
  }

  /** What keeps a look from mounts that may hang; undefined: there are none but those of `allowed`, by id. */
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

  /** The mount that a path free of links lies on; undefined: nobody can say. */
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
    // What guards remember of paths is of this reading.
    this.#guards.clear()
    try {
      const text = this.#read()
      if (!this.#text?.equals(text)) {
        this.#text = text
        this.#mounts = reachable(parseMountinfo(text))
        this.#remote = [...this.#mounts.values()].filter(mayHang)
      }
    } catch {
      this.#mounts = nothing
      this.#remote = []
      this.#text = undefined
    }
    const endedAtMs = this.#now()
    this.#nextAtMs = endedAtMs + Math.max(readAgainMs, readAgainFactor * (endedAtMs - startedAtMs))
  }
}
