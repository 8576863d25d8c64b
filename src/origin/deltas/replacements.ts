import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Splice } from '../../streamcache/index.js'
import { recordSize } from './delta-format.js'
import { PartCursor } from './part-cursor.js'

/** Bytes that are compared in one iteration of the event loop: less than a millisecond. */
const comparedAtOnce = 1024 * 1024

/**
 * Bytes that must be equal on both sides, so that the versions are taken to go on in the same way there. They have the whole name of
 * a ref: many refs may have the same object.
 */
const needleSize = 128
/** How far such bytes are searched for, behind how many places of the other side, and how far apart these are. */
const searches = [
  { within: 4096, places: 128, step: 32 },
  { within: 64 * 1024, places: 128, step: 32 },
  { within: 1024 * 1024, places: 8, step: 512 },
]
/** Searches without success after which the versions have too little in common. */
const failuresMax = 16
/** Bytes that count as replaced after such a search. */
const skipped = 4096

/**
 * Returns how one version of some bytes differs from another one. Parts that both have in common, as views of the same memory,
 * cost nothing. Does not block the event loop.
 * @param most bytes of a delta
 * @returns undefined: it would be longer, or the two have too little in common
 */
export async function replacementsBetween(
  before: Iterable<Buffer>,
  after: Iterable<Buffer>,
  most: number,
): Promise<Splice[] | undefined> {
  const [old, now] = [new PartCursor(before), new PartCursor(after)]
  const replacements: Splice[] = []
  let size = 0
  for (let failures = 0; ;) {
    await passEqual(old, now)
    if (old.isAtEnd && now.isAtEnd) return replacements
    const found = await nextEqual(old, now)
    if (!found && ++failures > failuresMax) return undefined
    const { removed, added } = found ?? { removed: skipped, added: skipped }
    const start = old.offset
    old.skip(removed)
    const from = now.offset
    const bytes = now.take(added)
    size += recordSize + now.offset - from
    if (size > most) return undefined
    replacements.push({ start, end: old.offset, bytes })
  }
}

/** Goes on to the first bytes that differ, or to an end. */
async function passEqual(old: PartCursor, now: PartCursor): Promise<void> {
  for (let left = comparedAtOnce; !old.isAtEnd && !now.isAtEnd;) {
    const { compared, differs } = old.passEqual(now, left)
    if (differs) return
    left -= compared
    if (left > 0) continue
    left = comparedAtOnce
    await yieldToEventLoop()
  }
}

/** How many bytes are to be left out on each side, until both go on with the same ones. */
interface Gap {
  readonly removed: number
  readonly added: number
}

/** Searches for bytes of the one side on the other one, from where they differ. @returns undefined: none was found */
async function nextEqual(old: PartCursor, now: PartCursor): Promise<Gap | undefined> {
  let longest = 0
  for (const { within, places, step } of searches) {
    const [x, y] = [old.window(within), now.window(within)]
    // Nothing more to search in.
    if (Math.max(x.length, y.length) <= longest) return undefined
    longest = Math.max(x.length, y.length)
    for (let at = 0; at < places * step; at += step) {
      const removed = indexOf(x, y, at)
      if (removed >= 0) return trimmed(x, y, { removed, added: at })
      const added = indexOf(y, x, at)
      if (added >= 0) return trimmed(x, y, { removed: at, added })
      if (within > searches[0]!.within && at % (16 * step) === 0) await yieldToEventLoop()
    }
  }
  return undefined
}

const indexOf = (bytes: Buffer, other: Buffer, at: number): number =>
  at + needleSize > other.length ? -1 : bytes.indexOf(other.subarray(at, at + needleSize))

/** Leaves out equal bytes at the end of a gap. */
function trimmed(x: Buffer, y: Buffer, { removed, added }: Gap): Gap {
  while (removed > 0 && added > 0 && x[removed - 1] === y[added - 1]) {
    removed--
    added--
  }
  return { removed, added }
}
