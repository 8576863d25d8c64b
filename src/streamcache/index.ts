/**
 * A cache of byte streams. A fill runs a source once; what it produces is an entry, and any number of followers read
 * the entry from its first byte while it grows and after it has ended, each at its own pace.
 *
 *   StreamCache   the index: at most one committed entry per key                    cache.ts
 *    ├ Entry      one fill's life: growing, then committed, unshared or failed      entry.ts
 *    │  └ GrowingFile   one writer, many followers; blocks in memory, all on disk   growing-file.ts
 *    │     ├ Follower   a reader at its own offset                                  follower.ts
 *    │     ├ HotTier    the memory that all entries share                           hot-tier.ts
 *    │     └ Spill      its half on disk: written, committed, checked, removed      spill.ts, chunk-sums.ts
 *    │        └ DiskFile   one file's handle, from temporary to committed           disk-file.ts
 *    ├ CommittedEntries   which of them are kept: bytes, number, age                committed-entries.ts
 *    ├ FreeSpace  what the filesystem must have left for others                     free-space.ts
 *    ├ withRetries   a source that fails is tried again, if it repeats itself         retry.ts
 *    └ Store      the directory: temp/, entries/, what a crash left behind          store.ts, footer.ts
 *
 * It promises: bytes in order and whole, or an error, never a short end that looks sound; a committed file is whole
 * and checked (its length at each open; its SHA-256 whenever it is read into memory, and if it is too large for that,
 * once and whenever something has touched it; a CRC-32 at every read from disk); a slow or vanished follower costs the
 * others nothing; if the disk fails, streams go on in memory. It knows nothing of what the bytes mean, and when they are fresh is for its
 * owner to say: `token` names the state that they stand for, `confirm` tells whether that state still holds.
 */
export { type StoreOperation } from './disk/cache-directory.js'
export { StreamCache, type Fill, type StreamCacheEvents, type StreamCacheOptions } from './cache.js'
export { type Entry, type FillLimits, type FillResult, type Producer as Source } from './entry.js'
export { type EvictionReason } from './committed-entries.js'
export { FillError, type FillFault } from './fill-error.js'
export { type Follower } from './follower.js'
export { type Free } from './disk/free-space.js'
export { inTurns } from './in-turns.js'
export { Signal } from './signal.js'
export { type DiscardReason } from './disk/store.js'
