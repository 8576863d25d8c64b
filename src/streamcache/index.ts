/**
 * A cache of byte streams. A fill runs a producer once; what it makes is an entry, and any number of followers read the
 * entry from its first byte, while it grows and after it has ended, each at its own pace.
 *
 *   StreamCache   the index: at most one committed entry per key                    cache.ts
 *    ├ Entry      one fill's life: growing, then committed, unshared or failed      entry.ts
 *    │  ├ withRetries   runs a Producer again that fails, if it repeats its bytes   fill/retry.ts, resume.ts, producer.ts
 *    │  └ GrowingFile   one writer, many followers; blocks in memory, all on disk   growing/growing-file.ts, append-signal.ts
 *    │     ├ Follower   a reader at its own offset                                  growing/follower.ts
 *    │     ├ FollowedFile   what followers see of it; paceOf: how its writer goes on    growing/followed-file.ts, pace.ts
 *    │     ├ RopeBody   a Revision's rope, in place of blocks and spill             revisions/rope-body.ts, memory/rope.ts
 *    │     ├ Followers  all readers of one file: who is slowest, who has stalled    growing/followers.ts
 *    │     ├ Blocks     the bytes in memory                                         memory/blocks.ts
 *    │     ├ HotTier    the memory budget that all entries share (LRU)              memory/hot-tier.ts
 *    │     └ Spill      the disk half: written, committed, loaded, removed          growing/spill.ts
 *    │        └ CheckedFile   bytes on disk, compared at each read                  disk/checked-file.ts, chunk-sums.ts
 *    │           └ DiskFile   a file's handle, from temporary to committed          disk/disk-file.ts
 *    ├ CommittedEntries   which entries are kept: bytes, number, age (LRU)          committed-entries.ts
 *    ├ RestoredEntries  those of earlier processes, and their order                 restored-entries.ts
 *    ├ InMemoryEntries  those that are in memory only                               in-memory-entries.ts
 *    ├ RevisedEntries   those that are ropes                                        revised-entries.ts
 *    │  └ RevisionWriter  one key's versions: deltas, or a new base                 revisions/revision-writer.ts
 *    │     ├ deltaBetween, spliceChunks   how ropes differ                          revisions/rope-delta.ts, rope-splice.ts
 *    │     ├ BaseWriter  a whole rope, written as each entry is                     revisions/base-writer.ts
 *    │     └ StoredRope  a base and its RevisionLog                                 revisions/stored-rope.ts
 *    │        └ RevisionLog   records that are appended, each with a checksum       disk/revision-log.ts, revision-record.ts
 *    └ CacheDirectory   the directory on disk                                       disk/cache-directory.ts
 *       ├ InstanceDirectory   one process's part of it, held by a Claim             disk/instance-directory.ts, claim.ts
 *       ├ Store      temp/, entries/, what a crash left behind                      disk/store.ts, metadata.ts
 *       ├ StoreScan  reads what earlier processes left, beside the requests         disk/store-scan.ts, stored-entry.ts
 *       ├ FreeSpace  what the filesystem must have left for other programs          disk/free-space.ts
 *       └ DiskWatchdog  a time limit on every operation                             disk/disk-watchdog.ts
 *
 * It promises: bytes in order and complete, or an error, never a short end that looks complete; a committed file is
 * complete and checked (its length at each open; its SHA-256 whenever it is read into memory, and if it is too large for
 * memory, once and whenever the file was touched since; a CRC-32 at every read from disk); a slow or vanished follower
 * costs the others nothing; if the disk fails, streams go on in memory. It knows nothing of what the bytes mean. Its
 * owner decides when they are fresh: `token` names the state that they stand for, `confirm` tells whether that state
 * still holds.
 */
export { type StoreOperation } from './disk/cache-directory.js'
export { StreamCache } from './cache.js'
export {
  type BorrowedBody,
  type Fill,
  type FillResult,
  type StreamCacheEvents,
  type StreamCacheOptions,
} from './cache-options.js'
export { type Entry, type FillLimits } from './entry.js'
export { type EvictionReason } from './committed-entries.js'
export { FillError, type FillFault } from './fill/fill-error.js'
export { type Follower } from './growing/follower.js'
export { type Free } from './disk/free-space.js'
export { InstanceDirectory } from './disk/instance-directory.js'
export { digestOf } from './memory/digest-of.js'
export { type Splice } from './memory/splice.js'
export { GrowingDigest } from './growing/growing-digest.js'
export { inTurns } from './in-turns.js'
export { type Produce, type Produced, type Producer, type RevisingProducer } from './fill/producer.js'
export { resume } from './fill/resume.js'
export { Revision } from './fill/revision.js'
export { Rope } from './memory/rope.js'
export { Signal } from './waiting/signal.js'
export { type DiscardReason } from './disk/stored-entry.js'
