import type { BigIntStats } from 'node:fs'

/**
 * Milliseconds in which two changes may leave the same timestamp: Linux stamps files with the time of the last timer
 * tick, at most 10 ms apart (CONFIG_HZ=100); doubled for safety.
 */
const tickMs = 20
/** The same for filesystems that store whole seconds only (two seconds on FAT). */
const coarseTickMs = 2000

/**
 * Returns the granularity of a file's ctime in milliseconds. A timestamp whose nanoseconds are all zero is taken for
 * one of a filesystem that stores whole seconds.
 */
export const timestampGranularityMs = ({ ctimeNs }: BigIntStats): number =>
  ctimeNs % 1_000_000_000n === 0n ? coarseTickMs : tickMs
