import { LRUCache } from 'lru-cache'
import type { Entry, Fill, Follower, RevisingProducer, StreamCache } from '../streamcache/index.js'
import { FillError } from '../streamcache/index.js'
import type { Reading } from './fresh-cache.js'
import { entriesAtMost } from '../limits/entries-at-most.js'

export interface PackCacheOptions {
  readonly cache: StreamCache
  /** Milliseconds for which a pack is kept; 0: only requests that overlap share one. */
  readonly maxAgeMs: number
  /** Milliseconds for which a fill goes on after its last follower has left. */
  readonly graceMs: number
}

/** A request for a pack. */
export interface PackRequest {
  /** What `forget` is called with: the common directory of a repository here, or the URL of one elsewhere. */
  readonly repository: string
  /** Names all that the answer depends on: equal names, equal answers. */
  readonly name: string
  /** Longest age in milliseconds of a pack that may answer, counted from the start of its fill. */
  readonly maxAgeMs: number
  readonly producer: RevisingProducer
  /** Does what the name says still hold, and is the answer whole? Called when the producer has ended. */
  readonly confirm: () => Promise<boolean>
  /** Called when a fill for this request starts. Must not throw. */
  readonly fillStarted: (fill: Fill) => void
  /** As in `FillRequest`, for packs that do not age. */
  readonly find?: (() => Promise<boolean>) | undefined
  /** As in `FillRequest`. */
  readonly mayWaitFor?: ((entry: Entry) => boolean) | undefined
  readonly ageMs?: (() => number) | undefined
}

/** A fill that runs, and its key's repository. */
interface RunningFill {
  readonly entry: Entry
  readonly repository: string
  graceTimer?: NodeJS.Timeout
  /** Has its key been asked for by more than one request? Then it goes on without followers. */
  repeated: boolean
  /** The entry must not be kept. */
  forgotten: boolean
}

/** Returns the key of a pack, which ends in its repository. @param name without a space */
export const packKey = (name: string, repository: string): string => `pack ${name} ${repository}`

/** Milliseconds between two looks at whether the head of a fill that goes on without followers is still kept. */
const retainedLookMs = 1000
const unread = (): FillError => new FillError('unread', 'no client was left to read the pack')

/** Most keys that are remembered as asked for. */
const askedMax = 10_000

/**
 * Single flight for packs (R1), and packs that are kept for a short time.
 *
 * It differs from FreshCache in three ways, which follow from what a pack is: large, slow to make, never the same twice.
 * The state that an answer depends on is part of the key, so a request never has to wait for a fill of another state. An
 * entry that has lost its first bytes is replaced by a fill of its own. And most packs are asked for once: an entry is in
 * memory first, and its fill ends when its last follower has left, unless its key repeats.
 */
export class PackCache {
  readonly #options: PackCacheOptions
  /** The newest fill of each key. */
  readonly #running = new Map<string, RunningFill>()
  /** Returns when the fill of an entry began, less what its bytes were old then, in milliseconds of performance.now(). */
  readonly #startOf = new WeakMap<Entry, () => number>()
  readonly #asked: LRUCache<string, true>
  /** The keys whose entries another process may have made, while they are looked for. */
  readonly #finding = new Map<string, Promise<boolean>>()

  constructor(options: PackCacheOptions) {
    this.#options = options
    this.#asked = new LRUCache({ ...entriesAtMost(askedMax), ttl: Math.max(1, options.maxAgeMs) })
  }

  /** Attaches to a pack: one that is kept (`hit`), one that is being made (`joined`), or a new one (`filled`). */
  async read(request: PackRequest): Promise<Reading> {
    const key = packKey(request.name, request.repository)
    const repeated = this.#asked.has(key)
    this.#asked.set(key, true)
    // What an earlier process left may answer.
    const { listing } = this.#options.cache
    if (listing) await listing
    let mayFind = request.find !== undefined && request.maxAgeMs === Infinity && this.#options.maxAgeMs > 0
    for (;;) {
      for (let entry = this.#fresh(key, request); entry; entry = this.#fresh(key, request)) {
        const follower = entry.follow()
        if (await entry.load()) return { entry, follower, reuse: 'hit' }
        follower.close()
        this.#options.cache.discard(entry)
      }
      const running = this.#running.get(key)
      if (running?.entry.joinable && this.#isYoung(running.entry, request)) {
        if (request.mayWaitFor?.(running.entry) ?? true) return { ...this.#join(running), reuse: 'joined' }
      }
      const finding = this.#finding.get(key)
      if (mayFind && finding) await finding
      else if (mayFind) {
        // What was found and cannot be read is not looked for again.
        mayFind = false
        if (await this.#find(key, request)) continue
        break
      } else break
    }
    const { entry } = this.#fill(key, request, repeated)
    return { entry, follower: entry.follow(), reuse: 'filled' }
  }

  /** Looks for the pack that another process has made. Never rejects. */
  #find(key: string, { find }: PackRequest): Promise<boolean> {
    const finding = find!()
      .catch(() => false)
      .finally(() => this.#finding.delete(key))
    this.#finding.set(key, finding)
    return finding
  }

  /** Returns the milliseconds since the fill of an entry began, and what its bytes were old then. */
  ageMsOf(entry: Entry): number {
    return performance.now() - (this.#startOf.get(entry)?.() ?? -Infinity)
  }

  #fresh(key: string, request: PackRequest): Entry | undefined {
    const entry = this.#options.cache.get(key)
    return entry && this.#isYoung(entry, request) ? entry : undefined
  }

  /** Did an entry's fill begin recently enough for a request? */
  #isYoung(entry: Entry, { maxAgeMs }: PackRequest): boolean {
    // An entry that an earlier process made has no start here, and an age that only the engine knows.
    return maxAgeMs === Infinity || this.ageMsOf(entry) <= maxAgeMs
  }

  #join(running: RunningFill): { entry: Entry; follower: Follower } {
    clearTimeout(running.graceTimer)
    running.repeated = true
    const { entry } = running
    return { entry, follower: entry.follow() }
  }

  #fill(key: string, request: PackRequest, repeated: boolean): RunningFill {
    const { cache, maxAgeMs } = this.#options
    const startedAtMs = performance.now()
    const startMsNow = (): number => startedAtMs - (request.ageMs?.() ?? 0)
    const isKept = (): Promise<boolean> => {
      const startMs = startMsNow()
      this.#startOf.set(entry, () => startMs)
      return running.forgotten
        ? Promise.resolve(false)
        : request.confirm().then((kept) => kept && !running.forgotten)
    }
    const token = maxAgeMs > 0 ? request.name : undefined
    const fill = cache.fill(key, token, request.producer, isKept, () => this.#endIfUnread(running))
    const { entry } = fill
    const { repository } = request
    const running: RunningFill = { entry, repository, repeated, forgotten: false }
    this.#running.set(key, running)
    this.#startOf.set(entry, startMsNow)
    if (repeated) entry.retain()
    request.fillStarted(fill)
    void fill.ended.then(() => {
      clearTimeout(running.graceTimer)
      if (running.forgotten) cache.erase(key)
      if (this.#running.get(key) === running) this.#running.delete(key)
    })
    return running
  }

  /**
   * Ends a fill that has no follower: at once if it still waits to begin, or if no later client could join it, else after
   * the grace time. One whose key repeats goes on for as long as its first bytes can be kept. What waits costs memory, the
   * request's body, with no client that this is counted for.
   */
  #endIfUnread(running: RunningFill): void {
    const { entry, forgotten } = running
    if (!entry.begun || !entry.joinable || forgotten) this.#end(running)
    else if (this.#goesOn(running)) this.#lookIn(running, Math.max(this.#options.graceMs, retainedLookMs))
    else this.#lookIn(running, this.#options.graceMs)
  }

  #lookIn(running: RunningFill, ms: number): void {
    clearTimeout(running.graceTimer)
    running.graceTimer = setTimeout(() => {
      if (running.entry.followed) return
      if (this.#goesOn(running)) this.#lookIn(running, retainedLookMs)
      else this.#end(running)
    }, ms).unref()
  }

  /** Is a fill to go on without a follower, for those that will come? Not if the disk has no room for its head. */
  #goesOn({ repeated, entry }: RunningFill): boolean {
    if (!repeated || !entry.joinable) return false
    entry.retain()
    return true
  }

  #end({ entry }: RunningFill): void {
    entry.stop(unread())
  }

  /** Packs of a repository that are kept, and their bytes. */
  kept(repository: string): { readonly count: number; readonly bytes: number } {
    let [count, bytes] = [0, 0]
    for (const key of this.#keysOf(repository)) {
      count++
      bytes += this.#options.cache.get(key)?.length ?? 0
    }
    return { count, bytes }
  }

  /** Drops all packs of a repository, so that they do not come back after a restart either. */
  forget(repository: string): void {
    this.#options.cache.eraseAll(isOf(repository))
    for (const [key, running] of this.#running) {
      if (running.repository !== repository) continue
      running.forgotten = true
      this.#running.delete(key)
    }
  }

  #keysOf(repository: string): string[] {
    return [...this.#options.cache.keys()].filter(isOf(repository))
  }
}

/** Returns whether a key is of a repository. */
const isOf =
  (repository: string) =>
  (key: string): boolean =>
    key.endsWith(` ${repository}`)
