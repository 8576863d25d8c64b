import { fork, type ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FilesystemUnanswered } from '../../../git/filesystem/filesystem-unanswered.js'
import { RemotePath } from '../../../git/filesystem/path-guard.js'
import {
  machineMs,
  type DiskResponse,
  type DiskRequest,
  type HelperStart,
  type DiskQuery,
} from './disk-messages.js'

/** With the extension of this file, which may be compiled or not. */
const defaultProgram = fileURLToPath(new URL(`./disk-process${extname(import.meta.url)}`, import.meta.url))

export interface HelperOptions {
  /** Longest wait for an answer, in milliseconds. */
  readonly limitMs: number
  /** The program of the helper process; another one in tests. */
  readonly program?: string
  /** Called with the mount points when a helper hangs; once, until it answers again. */
  readonly stopped?: (mounts: readonly string[]) => void
  /** Called with the mount points when it answers again. */
  readonly resumed?: (mounts: readonly string[]) => void
  /** Called for each query that was not answered in time, or could not be sent. */
  readonly unanswered?: () => void
}

/** A query that has not been answered. */
interface PendingQuery {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

/** Milliseconds without a query after which a helper process is ended. */
const idleMs = 300_000
/** Milliseconds before the next start after a process has ended without any answer: the next would probably too. */
const restartMs = 1000

/**
 * A helper process that answers queries about certain mounts, which may hang. It is started when it is needed. If it
 * does not answer in time it is killed, and until it has ended (it cannot end while it is stuck in the kernel) all
 * queries fail at once; the next query then starts another process. So there is at most one process, and no query waits
 * for longer than the limit.
 */
export class DiskHelper {
  readonly #start: HelperStart
  readonly #points: readonly string[]
  readonly #options: HelperOptions
  readonly #pending = new Map<number, PendingQuery>()
  #child: ChildProcess | undefined
  /** Was the process killed, and has not ended yet? */
  #stuck = false
  /** Was `stopped` called, and `resumed` not yet? */
  #reportedStopped = false
  #lastId = 0
  #answeredAtMs = -Infinity
  #notBeforeMs = -Infinity
  #idle: NodeJS.Timeout | undefined

  /** @param points the mount points, for messages */
  constructor(start: HelperStart, points: readonly string[], options: HelperOptions) {
    this.#start = start
    this.#points = points
    this.#options = options
  }

  /** What the process is doing; `none`: there is no process. */
  get state(): 'none' | 'idle' | 'busy' | 'stuck' {
    if (!this.#child) return 'none'
    return this.#stuck ? 'stuck' : this.#pending.size > 0 ? 'busy' : 'idle'
  }

  /**
   * Runs a query in the helper process.
   * @throws FilesystemUnanswered; RemotePath for a mount that the helper does not serve; what the query throws
   */
  ask(query: DiskQuery, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const child = this.#stuck ? undefined : this.#ensureRunning()
      if (!child) return reject(this.#unanswered())
      clearTimeout(this.#idle)
      const id = ++this.#lastId
      const { limitMs } = this.#options
      const timer = setTimeout(() => this.#expired(id), limitMs)
      this.#pending.set(id, { resolve, reject, timer })
      const request: DiskRequest = { id, query, args, untilMs: machineMs() + limitMs }
      // If the process has ended meanwhile, its `exit` event rejects the query.
      child.send(request, () => {})
    })
  }

  /** Kills the process, if there is one. */
  end(): void {
    clearTimeout(this.#idle)
    this.#child?.kill('SIGKILL')
  }

  /** Returns the process, which is started if need be; undefined: it is too early to start another. */
  #ensureRunning(): ChildProcess | undefined {
    if (this.#child) return this.#child
    if (performance.now() < this.#notBeforeMs) return undefined
    try {
      const child = fork(this.#options.program ?? defaultProgram, {
        // The parent's working directory may be on a mount that hangs.
        cwd: '/',
        // So that a terminal's Ctrl-C reaches only the parent.
        detached: true,
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      })
      child.unref()
      child.channel?.unref()
      let answered = false
      child.on('message', (message: DiskResponse) => {
        answered = true
        this.#take(message)
      })
      const ended = (error?: Error): void => {
        if (this.#child === child) this.#ended(answered, error)
      }
      child.once('exit', () => ended())
      child.once('error', ended)
      child.send(this.#start, () => {})
      this.#child = child
      return child
    } catch (error) {
      this.#ended(false, error)
      return undefined
    }
  }

  #take({ id, answer, error, remote, late }: DiskResponse): void {
    this.#answeredAtMs = performance.now()
    const pending = this.#pending.get(id)
    if (!pending || late) return
    this.#forget(id, pending)
    if (this.#reportedStopped) {
      this.#reportedStopped = false
      this.#options.resumed?.(this.#points)
    }
    if (remote) pending.reject(new RemotePath(remote))
    else if (error !== undefined) pending.reject(error)
    else pending.resolve(answer)
    if (this.#pending.size === 0) this.#idle = setTimeout(() => this.end(), idleMs).unref()
  }

  #forget(id: number, { timer }: PendingQuery): void {
    clearTimeout(timer)
    this.#pending.delete(id)
  }

  /** Handles a query whose time limit has passed. If others were answered meanwhile, it only had to wait for these. */
  #expired(id: number): void {
    const hangs = performance.now() - this.#answeredAtMs >= this.#options.limitMs
    if (hangs) {
      this.#stuck = true
      this.#child?.kill('SIGKILL')
      if (!this.#reportedStopped) this.#options.stopped?.(this.#points)
      this.#reportedStopped = true
    }
    for (const [each, pending] of [...this.#pending]) {
      if (!hangs && each !== id) continue
      this.#forget(each, pending)
      pending.reject(this.#unanswered())
    }
  }

  #ended(answered: boolean, cause?: unknown): void {
    // A process that was killed, by this one or by the kernel (out of memory), may start well the next time.
    if (!answered && !this.#stuck) this.#notBeforeMs = performance.now() + restartMs
    this.#child = undefined
    this.#stuck = false
    for (const [id, pending] of [...this.#pending]) {
      this.#forget(id, pending)
      pending.reject(this.#unanswered(cause ?? new Error('the helper process has ended')))
    }
  }

  #unanswered(cause?: unknown): FilesystemUnanswered {
    this.#options.unanswered?.()
    const retryAfterSeconds = Math.max(1, Math.ceil(this.#options.limitMs / 1000))
    return new FilesystemUnanswered(this.#points, retryAfterSeconds, cause)
  }
}
