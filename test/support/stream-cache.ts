import type { Test } from 'tap'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { isMetadataName, metadataPath } from '../../src/streamcache/disk/metadata.js'
import { StreamCache, type Fill, type StreamCacheOptions } from '../../src/streamcache/index.js'
import { eventually } from './eventually.js'
import { collect, producerOf } from './producers.js'
import { tempDir } from './temp-dir.js'

/** A cache over a directory of the test, and the events that it has reported. */
export interface TestCache {
  readonly cache: StreamCache
  readonly directory: string
  /** Events in order, as in `evicted size`, `discarded temp`, `storeFailed commit`. */
  readonly events: string[]
  /** The options that it was opened with. */
  readonly options: StreamCacheOptions
}

/**
 * Opens a cache with ample limits, unless `changes` say otherwise, and waits until what earlier ones left is read. It is
 * closed with the test.
 */
export async function openCache(t: Test, changes: Partial<StreamCacheOptions> = {}): Promise<TestCache> {
  const directory = changes.directory ?? tempDir(t)
  const { options, events } = cacheOptions({ ...changes, directory })
  const cache = await StreamCache.open(options)
  t.teardown(() => cache.close())
  await cache.restored
  return { cache, directory, events, options }
}

export function cacheOptions(changes: Partial<StreamCacheOptions> & { directory: string }): {
  options: StreamCacheOptions
  events: string[]
} {
  const events: string[] = []
  const options: StreamCacheOptions = {
    maxBytes: 1 << 30,
    maxEntries: 100_000,
    maxEntryBytes: 1 << 30,
    minFreeBytes: 0,
    minFreeInodes: 0,
    maxAgeMs: 3_600_000,
    hotMaxBytes: 1 << 26,
    maxLeadBytes: 1 << 26,
    fillTimeoutMs: 600_000,
    fillSilenceMs: 600_000,
    events: {
      evicted: (reason) => events.push(`evicted ${reason}`),
      discarded: (reason) => events.push(`discarded ${reason}`),
      storeFailed: (operation) => events.push(`storeFailed ${operation}`),
      storeFull: () => events.push('storeFull'),
      storeResumed: () => events.push('storeResumed'),
    },
    ...changes,
  }
  return { options, events }
}

/** Lists the growing files of an instance, its committed bodies, or the metadata beside these. */
export function filesIn(
  directory: string,
  folder: 'temp' | 'entries' | 'metadata',
  instance = 'instance-0',
): string[] {
  const path = join(directory, instance, folder === 'temp' ? 'temp' : 'entries')
  const names = existsSync(path) ? readdirSync(path) : []
  return folder === 'temp' ? names : names.filter((name) => isMetadataName(name) === (folder === 'metadata'))
}

/** Returns the paths of the committed bodies. */
export const bodiesIn = (directory: string): string[] =>
  filesIn(directory, 'entries').map((name) => join(directory, 'instance-0', 'entries', name))

/** Lists the paths under a directory that this process has open, `(deleted)` ones too. On Linux; elsewhere none. */
export function openFilesUnder(directory: string): string[] {
  if (!existsSync('/proc/self/fd')) return []
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(`${directory}/`) ? [path] : []
    } catch {
      return [] // The descriptor of the listing itself is closed.
    }
  })
}

/** Waits until no file under the directory is open, no temporary file is left in it, and no metadata without its body. */
export async function nothingLeaks(directory: string): Promise<void> {
  await eventually(`no open file under ${directory}`, () => openFilesUnder(directory).length === 0)
  await eventually(`no temporary file in ${directory}`, () => filesIn(directory, 'temp').length === 0)
  await eventually(`each body in ${directory} has metadata, and the reverse`, () => {
    const described = filesIn(directory, 'entries').map(metadataPath)
    return described.sort().join() === filesIn(directory, 'metadata').sort().join()
  })
}

/** Confirmations: the state that the bytes stand for has not changed, or has. */
export const yes = async (): Promise<boolean> => true
export const no = async (): Promise<boolean> => false

/** Fills a key with these bytes and commits them. */
export async function put(
  cache: StreamCache,
  key: string,
  token: string,
  bytes: Buffer | string,
): Promise<Fill> {
  const fill = cache.fill(key, token, producerOf(bytes), yes)
  const result = await fill.ended
  if (result !== 'committed') throw new Error(`${key} was not committed: ${result}`)
  return fill
}

/** Returns what a request gets for a committed key; undefined if there is nothing intact. */
export async function get(cache: StreamCache, key: string): Promise<Buffer | undefined> {
  const entry = cache.get(key)
  if (!entry) return undefined
  const follower = entry.follow()
  if (await entry.load()) return collect(follower)
  follower.close()
  cache.discard(entry)
  return undefined
}
