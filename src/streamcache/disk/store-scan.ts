import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDamage } from './disk-file.js'
import type { DiskWatchdog } from './disk-watchdog.js'
import { isMetadataName, metadataPath } from './metadata.js'
import { isRevisionsName, revisionsPath } from './revision-record.js'
import {
  committedAt,
  readRevisionsOf,
  readStored,
  type DiscardReason,
  type StoredEntry,
} from './stored-entry.js'

export interface StoreScanEvents {
  /** Called with each intact entry; of one key, with the newest last. */
  readonly found: (entry: StoredEntry) => void
  readonly discarded: (reason: DiscardReason) => void
  readonly failed: (operation: 'read' | 'remove', error: unknown) => void
}

/** Longest time in milliseconds for which files are read without letting the event loop go on; and the pause after it. */
const turnMs = 2

/** Returns the part of a body's name by which it is found: equal for all bodies of a key. */
export const digestOfKey = (key: string): string => createHash('sha256').update(key).digest('hex')

/** Returns the digest in a name: of a body, or of a file beside one. */
function digestIn(name: string): string {
  const end = name.indexOf('.')
  return end < 0 ? name : name.slice(0, end)
}

/**
 * Reads the metadata of the files that earlier processes committed, a few at a time, beside the requests. First the
 * directory is listed; from then on the entries of any key can be read before their turn (`reach`). It must be listed
 * before this process commits anything: its own files are none of these. Only files proved to be damaged are removed;
 * files that the system cannot read or remove now stay where they are.
 */
export class StoreScan {
  readonly #entries: string
  readonly #watchdog: DiskWatchdog
  readonly #events: StoreScanEvents
  /** The names of bodies that are not read yet, by the digests of their keys; undefined: not listed. */
  #bodies: Map<string, string[]> | undefined
  /** The bodies that have revisions beside them. */
  readonly #revised = new Set<string>()
  /** The names of the other files; a body may be missing that they belong to. */
  #others: string[] = []
  /** Bodies that were read before it is known which of these are missing. */
  readonly #taken = new Set<string>()
  /** Is it known which other files have no body? */
  #isSorted = false
  #stopped = false
  readonly #removals = new Set<Promise<void>>()

  constructor(entries: string, watchdog: DiskWatchdog, events: StoreScanEvents) {
    this.#entries = entries
    this.#watchdog = watchdog
    this.#events = events
  }

  /** Lists the directory. @throws if it cannot be listed */
  async list(): Promise<void> {
    const names = await this.#watchdog.run(() => readdir(this.#entries))
    if (!this.#bodies) this.#group(names)
  }

  #listNow(): void {
    if (this.#bodies) return
    try {
      this.#group(readdirSync(this.#entries))
    } catch (error) {
      // list() fails too, and that is reported.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#events.failed('read', error)
    }
  }

  #group(names: readonly string[]): void {
    const bodies = new Map<string, string[]>()
    for (const name of names) {
      const isRevisions = isRevisionsName(name)
      if (isRevisions) this.#revised.add(name)
      if (isRevisions || isMetadataName(name)) {
        this.#others.push(name)
        continue
      }
      const digest = digestIn(name)
      const same = bodies.get(digest)
      if (same) same.push(name)
      else bodies.set(digest, [name])
    }
    this.#bodies = bodies
  }

  /** Was a file listed, and the body to which it belongs not? To be asked before run() reads bodies. */
  #isStray(name: string): boolean {
    const isBody = (body: string): boolean => metadataPath(body) === name || revisionsPath(body) === name
    if (this.#bodies?.get(digestIn(name))?.some(isBody)) return false
    return !this.#taken.has(name)
  }

  /** Reads the entries of a key now, if they are listed and not read yet. */
  reach(key: string): void {
    if (this.#bodies?.size) this.#take(digestOfKey(key))
  }

  /** Reads the entries of a key now. Blocks on the disk if the directory is not listed yet. */
  reachNow(key: string): void {
    this.#listNow()
    this.reach(key)
  }

  /** Reads all entries that are left. Blocks on the disk. */
  finish(): void {
    this.#listNow()
    for (const digest of this.#bodies?.keys() ?? []) this.#take(digest)
  }

  /** Reads all entries that are left, in turns with what else the process does, until stop(). Never rejects. */
  async run(): Promise<void> {
    let began = performance.now()
    /** Returns undefined if there is no need to wait. */
    const pause = (): Promise<void> | undefined => {
      if (this.#removals.size === 0 && performance.now() - began < turnMs) return undefined
      return Promise.all(this.#removals)
        .then(() => sleep(turnMs))
        .then(() => void (began = performance.now()))
    }
    for (const name of this.#others) {
      if (this.#stopped) break
      // A crash fell between the metadata and the rename of its body, or between the removals of these files.
      if (this.#isStray(name)) this.#remove('temp', join(this.#entries, name))
      const wait = pause()
      if (wait) await wait
    }
    this.#others = []
    this.#isSorted = true
    this.#taken.clear()
    for (const digest of this.#bodies?.keys() ?? []) {
      if (this.#stopped) break
      this.#take(digest)
      const wait = pause()
      if (wait) await wait
    }
    this.#revised.clear()
    await Promise.all(this.#removals)
  }

  /** Ends run() soon. What is not read yet stays as it is. */
  stop(): void {
    this.#stopped = true
    this.#bodies?.clear()
  }

  #take(digest: string): void {
    const names = this.#bodies?.get(digest)
    if (!names) return
    this.#bodies?.delete(digest)
    if (!this.#isSorted)
      for (const name of names) this.#taken.add(metadataPath(name)).add(revisionsPath(name))
    const entries = names.flatMap((name) => this.#read(name) ?? [])
    for (const entry of entries.sort((a, b) => committedAt(a) - committedAt(b))) this.#events.found(entry)
  }

  #read(name: string): StoredEntry | undefined {
    const path = join(this.#entries, name)
    // The body first: without it, the others count as nothing.
    const paths = [path, metadataPath(path), revisionsPath(path)]
    try {
      const entry = readStored(path, this.#watchdog)
      if (typeof entry !== 'object') {
        this.#remove(entry, ...paths)
        return undefined
      }
      if (!this.#revised.has(revisionsPath(name))) return entry
      const revised = readRevisionsOf(path, entry.metadata, this.#watchdog)
      if (revised) return { ...entry, revised }
      // The first record is not whole.
      this.#remove('temp', revisionsPath(path))
      return entry
    } catch (error) {
      if (isDamage(error)) this.#remove('corrupt', ...paths)
      else this.#events.failed('read', error)
      return undefined
    }
  }

  #remove(reason: DiscardReason, ...paths: string[]): void {
    const removal = removeFiles(this.#watchdog, paths)
      .then(
        () => this.#events.discarded(reason),
        (error: unknown) => this.#events.failed('remove', error),
      )
      .finally(() => this.#removals.delete(removal))
    this.#removals.add(removal)
  }
}

/** Removes files or directories one after the other. @throws the system's error */
export const removeFiles = (watchdog: DiskWatchdog, paths: readonly string[]): Promise<void> =>
  watchdog.run(async () => {
    for (const path of paths) await rm(path, { recursive: true, force: true })
  })
