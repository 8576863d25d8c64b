/** What went wrong: a Git process, a fill, a request, or a request that was shed. */
export type FailureEvent = 'git' | 'fill' | 'request' | 'shed'

/** A failure of late; equal ones that follow one another count as one with a count. */
export interface RecentFailure {
  readonly event: FailureEvent
  /** The command and directory of a Git process, the key of a fill, or the path of the repository as it was asked for; empty: none is known. */
  readonly subject: string
  /** In Git's own words, or in those of the part that failed. */
  readonly message: string
  readonly count: number
  /** First and last time, in milliseconds of the epoch. */
  readonly firstAt: number
  readonly lastAt: number
}

/** Characters of a message and of a subject that are kept. */
const messageMax = 500
const subjectMax = 512

/** The last failures, in bounded memory. */
export class RecentFailures {
  readonly #max: number
  readonly #now: () => number
  /** By what they are about, the one that happened last at the end. */
  readonly #failures = new Map<string, RecentFailure>()

  /** @param max most failures that are kept */
  constructor(max: number, now = () => Date.now()) {
    this.#max = max
    this.#now = now
  }

  add(event: FailureEvent, subject: string, error: unknown): void {
    const message = messageOf(error)
    const about = subject.slice(0, subjectMax)
    const key = `${event}\0${about}\0${message}`
    const known = this.#failures.get(key)
    const now = this.#now()
    this.#failures.delete(key)
    this.#failures.set(key, {
      ...{ event, subject: about, message },
      count: (known?.count ?? 0) + 1,
      firstAt: known?.firstAt ?? now,
      lastAt: now,
    })
    if (this.#failures.size <= this.#max) return
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest)
      break
    }
  }

  /** Returns the failures, the last one first. */
  list(): RecentFailure[] {
    return [...this.#failures.values()].reverse()
  }
}

/** Returns an error's message on one line of printable characters. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const printable = text
    .slice(0, 4 * messageMax)
    .replaceAll(/\s*[\r\n]+\s*/g, '; ')
    .replaceAll(/\p{C}/gu, '')
  return printable.trim().slice(0, messageMax)
}
