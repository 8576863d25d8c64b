/** What a writer's pace depends on. */
export interface Situation {
  /** Bytes so far, and how far the writer may be ahead. */
  readonly length: number
  readonly maxLeadBytes: number
  /** Do the bytes go to disk, and how many of them are not there yet? */
  readonly storing: boolean
  readonly backlog: number
  /** May the writer go on without regard to followers? */
  readonly hurried: boolean
  /** Are the bytes in memory only, because nothing has asked for the disk yet? */
  readonly unasked: boolean
  /** Are the first bytes gone? */
  readonly trimmed: boolean
  readonly followers: {
    readonly count: number
    readonly shared: boolean
    slowest(end: number): number
    fastest(): number
  }
}

/** `trim`: it drops what all have passed, and pauses if that is not enough. `store`: it begins to write to disk. */
export type Pace = 'go' | 'pause' | 'trim' | 'store'

/** Bytes that may wait for the disk before the writer has to pause. */
export const maxUnwritten = 16 * 1024 * 1024

/**
 * Decides how a writer goes on.
 *
 * A file that begins in memory is decided upon when it is longer than `maxLeadBytes`. It goes to disk, all of it, if it is
 * shared: a second follower has attached, or its owner expects one. It goes to disk from the slowest follower on if that
 * one lags by half of `maxLeadBytes`, so that the writer can end early. Otherwise it stays in memory and loses what its
 * only follower has passed. So bytes that one fast client reads are never written.
 */
export function paceOf(situation: Situation): Pace {
  const { length, maxLeadBytes, storing, followers } = situation
  if (storing && situation.backlog > maxUnwritten) return 'pause'
  if (length <= maxLeadBytes) return 'go'
  if (storing) {
    if (situation.hurried || followers.count === 0) return 'go'
    return length - followers.fastest() > maxLeadBytes ? 'pause' : 'go'
  }
  return situation.unasked ? paceInMemory(situation) : 'trim'
}

function paceInMemory({ length, maxLeadBytes, trimmed, followers }: Situation): Pace {
  // Without a reader it waits for one, or to be stopped.
  if (followers.count === 0 && (trimmed || !followers.shared)) return 'pause'
  const isLagging = length - followers.slowest(length) > maxLeadBytes / 2
  return (followers.shared && !trimmed) || isLagging ? 'store' : 'trim'
}
