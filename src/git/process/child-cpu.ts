import { openSync, readSync } from 'node:fs'

/**
 * Ticks per second of the times in /proc: the kernel's USER_HZ (proc_pid_stat(5), sysconf(_SC_CLK_TCK)), which is 100 on all
 * architectures that Node supports.
 */
const ticksPerSecond = 100

/** Returns the seconds of user and system time of all children that this process has waited for; undefined: unknown. */
export type ReadChildSeconds = () => number | undefined

/**
 * Attributes CPU time to child processes when they end: their own, and that of their children that they have waited for.
 *
 * Node tells no resource usage of a child. The kernel adds it to this process's total when libuv reaps the child
 * (getrusage(2), RUSAGE_CHILDREN), and then its `exit` event comes; so what the total has grown since the last reading
 * belongs to the children that were reaped since. If several are reaped in one iteration of the event loop, the first whose
 * exit is reported gets the time of all: each number may be wrong then, and their sum is right.
 *
 * A reading takes about 10 µs, so there are none while no measured child runs. While one does, each other child's end
 * that this class is told of has its reading too, so that its time is attributed to no measured one.
 */
export class ChildCpu {
  readonly #read: ReadChildSeconds
  /** Measured children that run. */
  #measured = 0
  /** The last reading, if a measured child runs. */
  #seconds: number | undefined

  constructor(read: ReadChildSeconds = readChildSeconds) {
    this.#read = read
  }

  /**
   * Begins to measure a child, which has just been started.
   * @returns a function to be called once, synchronously when the child's exit is reported or when it could not be started;
   * it returns seconds, or undefined if they are unknown
   */
  measure(): () => number | undefined {
    if (this.#measured++ === 0) this.#seconds = this.#read()
    return () => {
      const grown = this.#grown()
      this.#measured--
      return grown
    }
  }

  /** To be called synchronously when the exit of a child that is not measured is reported. */
  otherEnded(): undefined {
    if (this.#measured > 0) this.#grown()
  }

  #grown(): number | undefined {
    const before = this.#seconds
    this.#seconds = this.#read()
    return before === undefined || this.#seconds === undefined ? undefined : this.#seconds - before
  }
}

/** A file that stays open: each reading is one system call. */
let file: number | undefined
const buffer = Buffer.alloc(1024)

function readChildSeconds(): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    file ??= openSync('/proc/self/stat', 'r')
    return childSeconds(buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, 0)))
  } catch {
    // There is no /proc, or no file descriptor is left.
    return undefined
  }
}

/** Returns the sum of cutime and cstime, fields 16 and 17, in seconds (proc_pid_stat(5)). */
export function childSeconds(stat: string): number | undefined {
  // Field 2 is the program's name in parentheses, and may contain any character.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ', 15)
  const ticks = Number(fields[13]) + Number(fields[14])
  return Number.isNaN(ticks) ? undefined : ticks / ticksPerSecond
}

/** The one of this process: the total is that of the process as a whole. */
export const childCpu = new ChildCpu()
