import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { StreamCacheEvents } from './cache-options.js'
import type { CommittedEntries } from './committed-entries.js'
import type { CacheDirectory } from './disk/cache-directory.js'
import type { Entry } from './entry.js'
import type { RestoredEntry } from './revised-entries.js'

export interface RestoredEntriesOptions {
  readonly committed: CommittedEntries
  readonly directory: Pick<CacheDirectory, 'reach' | 'reachNow' | 'settled'>
  /** Ends the use of an entry that is not committed. */
  readonly abandon: (entry: Entry) => void
  readonly events: StreamCacheEvents | undefined
}

/** Entries that are ordered before the event loop goes on. */
const atOnce = 500
/** Entries that are evicted before their files are removed. */
const evictedAtOnce = 50

/**
 * The entries that earlier processes left, while these are being read. They come in the order of the directory, and keys
 * that are asked for come first. When all are known, they are put in the order of their age, below the keys that were used
 * meanwhile, and only then are entries evicted that pass the limits.
 */
export class RestoredEntries {
  readonly #options: RestoredEntriesOptions
  /** When each entry was committed, in milliseconds since 1970. */
  #found: { readonly key: string; readonly committedAt: number }[] = []
  /** Keys that were used since the start of the scan, the last of them last; undefined: no scan runs. */
  #used: Set<string> | undefined
  #beganMs = 0
  readonly #restored = new WeakSet<Entry>()
  #scans = 0
  #end: (() => void) | undefined
  #ended = Promise.resolve()
  #closed = false

  constructor(options: RestoredEntriesOptions) {
    this.#options = options
  }

  /** Resolves when no scan runs, and the limits apply. */
  get ended(): Promise<void> {
    return this.#ended
  }

  /** To be called when a scan begins and when it has ended. */
  scanning(isRunning: boolean): void {
    if (!isRunning) return void this.#conclude(this.#scans)
    this.#scans++
    this.#options.committed.hold()
    this.#used ??= new Set()
    this.#beganMs = performance.now()
    if (!this.#end) this.#ended = new Promise((resolve) => (this.#end = resolve))
  }

  /** Commits an entry that the scan has found. */
  add({ entry, size, committedAt }: RestoredEntry): void {
    if (this.#closed) return
    const { committed, abandon, events } = this.#options
    const known = committed.peek(entry.key)
    const isOlder = known !== undefined && !this.#restored.has(known)
    if (!isOlder && committed.accepts(size)) {
      this.#restored.add(entry)
      committed.set(entry, size, committedAt)
      this.#found.push({ key: entry.key, committedAt })
      return
    }
    abandon(entry)
    // Or `maxBytes` was larger in an earlier process.
    events?.evicted?.(isOlder ? 'superseded' : 'size')
  }

  /** Has what was left of a key committed, before the key is used. */
  reach(key: string): void {
    if (!this.#used) return
    this.#options.directory.reach(key)
    this.#use(key)
  }

  /** The same, also if the directory is not listed yet. Blocks on the disk. */
  reachNow(key: string): void {
    if (!this.#used) return
    this.#options.directory.reachNow(key)
    this.#use(key)
  }

  #use(key: string): void {
    this.#used?.delete(key)
    this.#used?.add(key)
  }

  /** Has the cache no more entries restored, and nothing evicted because of them. */
  close(): void {
    this.#closed = true
    this.#end?.()
  }

  async #conclude(scan: number): Promise<void> {
    const { committed, events } = this.#options
    // Another scan may begin meanwhile: the directory was removed.
    const isOver = (): boolean => this.#closed || scan !== this.#scans
    const found = this.#found.sort((a, b) => a.committedAt - b.committedAt)
    for (const [index, { key }] of found.entries()) {
      if (!this.#used?.has(key)) committed.touch(key)
      if (index % atOnce < atOnce - 1) continue
      await yieldToEventLoop()
      if (isOver()) return
    }
    if (isOver()) return
    // In one step, so that no key is used between two of these.
    for (const key of this.#used ?? []) committed.touch(key)
    this.#used = undefined
    this.#found = []
    while (!committed.evictExcess(evictedAtOnce)) {
      // The disk must have time for what is created meanwhile.
      await this.#options.directory.settled()
      await yieldToEventLoop()
      if (isOver()) return
    }
    committed.release()
    events?.restored?.({ entries: found.length, ms: performance.now() - this.#beganMs })
    this.#end?.()
    this.#end = undefined
  }
}
