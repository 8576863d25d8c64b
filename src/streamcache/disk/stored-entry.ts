import { closeSync, fstatSync, futimesSync, readSync, statSync, type Stats } from 'node:fs'
import { DiskFile } from './disk-file.js'
import type { DiskWatchdog } from './disk-watchdog.js'
import {
  decodeMetadata,
  endsInFooter,
  footerEndLength,
  hasOtherFormat,
  metadataPath,
  type Metadata,
} from './metadata.js'
import { openFound } from './open-found.js'
import { RevisionLog } from './revision-log.js'
import type { RevisionRecord } from './revision-record.js'

/**
 * Why a file in the directory was removed. `temp`: a fill or its commit had not ended; `truncated`: the body is shorter
 * than its metadata says; `corrupt`: damaged in another way, or without metadata; `format`: written by a version of this
 * program with another format.
 */
export type DiscardReason = 'temp' | 'truncated' | 'corrupt' | 'format'

/** A committed body that an earlier process left, with intact metadata; its bytes are not verified yet. */
export interface StoredEntry {
  readonly disk: DiskFile
  readonly metadata: Metadata
  /** Bytes on disk, of both files. */
  readonly size: number
  /** The revisions beside it, of which the last is the entry; left out: the body is. */
  readonly revised?: { readonly log: RevisionLog; readonly last: RevisionRecord }
}

/** Returns when the newest version of an entry was committed, in milliseconds since 1970. */
export const committedAt = ({ metadata, revised }: StoredEntry): number =>
  revised?.last.committedAt ?? metadata.committedAt

/** Size in bytes of the longest metadata that is accepted. */
const metadataMax = 1024 * 1024

/**
 * Reads the metadata of a body; synchronously, because a cache may hold a hundred thousand files, and each costs 30 µs
 * instead of more than 200 µs.
 * @throws the system's error
 */
export function readStored(path: string, watchdog: DiskWatchdog): StoredEntry | DiscardReason {
  const handle = openFound(metadataPath(path))
  if (handle === undefined) return withoutMetadata(path)
  try {
    const stats = fstatSync(handle)
    if (!stats.isFile() || stats.size > metadataMax) return 'corrupt'
    const bytes = readAt(handle, 0, stats.size)
    const metadata = decodeMetadata(bytes)
    if (!metadata) return hasOtherFormat(bytes) ? 'format' : 'corrupt'
    const body = statSync(path)
    if (!body.isFile()) return 'corrupt'
    if (body.size !== metadata.length) return body.size < metadata.length ? 'truncated' : 'corrupt'
    const committedAt = plausibleCommitTime(metadata.committedAt, stats, handle)
    return {
      disk: DiskFile.committed(path, body.size, watchdog),
      metadata: { ...metadata, committedAt },
      size: body.size + stats.size,
    }
  } finally {
    closeSync(handle)
  }
}

/** Returns the revisions of a body; undefined: the first record is not whole. @throws the system's error, or Damage */
export function readRevisionsOf(
  path: string,
  { sha256 }: Metadata,
  watchdog: DiskWatchdog,
): StoredEntry['revised'] {
  const log = new RevisionLog(path, sha256, watchdog)
  const last = log.find()
  return last && { log, last: { ...last, committedAt: Math.min(last.committedAt, Date.now()) } }
}

/** Returns why a body without metadata is of no use. @throws the system's error */
function withoutMetadata(path: string): DiscardReason {
  const handle = openFound(path)
  if (handle === undefined) return 'corrupt'
  try {
    const stats = fstatSync(handle)
    if (!stats.isFile() || stats.size < footerEndLength) return 'corrupt'
    return endsInFooter(readAt(handle, stats.size - footerEndLength, footerEndLength)) ? 'format' : 'corrupt'
  } finally {
    closeSync(handle)
  }
}

function readAt(handle: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  return bytes.subarray(0, readSync(handle, bytes, 0, length, position))
}

/**
 * Returns when an entry was committed, also if the clock was ahead then or is behind now. An entry from the future counts
 * as committed now; the metadata's mtime records that, so that it does not become new again at each start.
 */
function plausibleCommitTime(committedAt: number, { mtimeMs }: Stats, handle: number): number {
  const now = Date.now()
  if (committedAt <= now) return committedAt
  if (mtimeMs <= now) return mtimeMs
  try {
    futimesSync(handle, now / 1000, now / 1000)
  } catch {
    // Without the permission to set it, the entry counts as new again at the next start.
  }
  return now
}
