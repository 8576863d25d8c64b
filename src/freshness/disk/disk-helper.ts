import { fork, type ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FilesystemUnanswered } from '../../git/filesystem/filesystem-unanswered.js'
import { RemotePath } from '../../git/filesystem/path-guard.js'
import {
  machineMs,
  type DiskResponse,
  type DiskRequest,
  type HelperStart,
  type DiskQuery,
} from './disk-messages.js'

/** This file's own kind: what runs may be compiled or not. */
const defaultProgram = fileURLToPath(new URL(`./disk-process${extname(import.meta.url)}`, import.meta.url))

export interface HelperOptions {
  /** Longest wait for an answer, in milliseconds. */
  readonly limitMs: number
  /** What a helper runs; another one in tests. */
  readonly program?: string
  /** Told that a helper hangs, with what it is there for; once, until it answers again. */
  readonly stopped?: (mounts: readonly string[]) => void
  /** Told that it answers again. */
  readonly resumed?: (mounts: readonly string[]) => void
  /** Told of each question that was not answered in time, or not put at all. */
  readonly unanswered?: () => void
}

interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

/** Milliseconds without a question after which a helper's process is ended. */
const idleMs = 300_000
/** Milliseconds before the next try after a process has ended without any answer: it would again. */
const restartMs = 1000

/**
 * Asks a process of its own about some mounts, which may hang. It is started when it is needed. If it does not answer
 * in time it is killed, and until it has gone (it cannot while it is stuck in the kernel) all questions fail at once;
 * then the next one starts another. So there is one process at the most, and nobody waits for longer than the limit.
 */
export class DiskHelper {
  readonly #start: HelperStart
  readonly #points: readonly string[]
  readonly #options: HelperOptions
  readonly #waiting = new Map<number, Waiting>()
  #child: ChildProcess | undefined
  /** Has it been killed, and has not gone yet? */
  #stuck = false
  /** Has the mount been told to have stopped, and not to answer again? */
  #told = false
  #lastId = 0
  #answeredAtMs = -Infinity
  #notBeforeMs = -Infinity
  #idle: NodeJS.Timeout | undefined

  /** @param points where the mounts are, for people */
  constructor(start: HelperStart, points: readonly string[], options: HelperOptions) {
    this.#start = start
    this.#points = points
    this.#options = options
  }

  /** Is there a process, and what is it doing? */
  get state(): 'none' | 'idle' | 'busy' | 'stuck' {
    if (!this.#child) return 'none'
    return this.#stuck ? 'stuck' : this.#waiting.size > 0 ? 'busy' : 'idle'
  }

  /** @throws FilesystemUnanswered, RemotePath for a mount that it is not there for, or what the answer throws */
  ask(query: DiskQuery, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const child = this.#stuck ? undefined : this.#running()
      if (!child) return reject(this.#unanswered())
      clearTimeout(this.#idle)
      const id = ++this.#lastId
      const { limitMs } = this.#options
      const timer = setTimeout(() => this.#late(id), limitMs)
      this.#waiting.set(id, { resolve, reject, timer })
      const asked: DiskRequest = { id, query, args, untilMs: machineMs() + limitMs }
      // If it has ended meanwhile, that is told by its end.
      child.send(asked, () => {})
    })
  }

  /** Ends the process, if there is one. */
  end(): void {
    clearTimeout(this.#idle)
    this.#child?.kill('SIGKILL')
  }

  /** undefined: there is none, and it is too early for another. */
  #running(): ChildProcess | undefined {
    if (this.#child) return this.#child
    if (performance.now() < this.#notBeforeMs) return undefined
    try {
      const child = fork(this.#options.program ?? defaultProgram, {
        // Neutral: the parent's own may be on such a mount.
        cwd: '/',
        // A terminal's Ctrl-C is for the parent.
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
      const gone = (error?: Error): void => {
        if (this.#child === child) this.#gone(answered, error)
      }
      child.once('exit', () => gone())
      child.once('error', gone)
      child.send(this.#start, () => {})
      this.#child = child
      return child
    } catch (error) {
      this.#gone(false, error)
      return undefined
    }
  }

  #take({ id, answer, error, remote, late }: DiskResponse): void {
    this.#answeredAtMs = performance.now()
    const waiting = this.#waiting.get(id)
    if (!waiting || late) return
    this.#forget(id, waiting)
    if (this.#told) {
      this.#told = false
      this.#options.resumed?.(this.#points)
    }
    if (remote) waiting.reject(new RemotePath(remote))
    else if (error !== undefined) waiting.reject(error)
    else waiting.resolve(answer)
    if (this.#waiting.size === 0) this.#idle = setTimeout(() => this.end(), idleMs).unref()
  }

  #forget(id: number, { timer }: Waiting): void {
    clearTimeout(timer)
    this.#waiting.delete(id)
  }

  /** A question has waited for too long: for others, if some were answered meanwhile. */
  #late(id: number): void {
    const hangs = performance.now() - this.#answeredAtMs >= this.#options.limitMs
    if (hangs) {
      this.#stuck = true
      this.#child?.kill('SIGKILL')
      if (!this.#told) this.#options.stopped?.(this.#points)
      this.#told = true
    }
    for (const [each, waiting] of [...this.#waiting]) {
      if (!hangs && each !== id) continue
      this.#forget(each, waiting)
      waiting.reject(this.#unanswered())
    }
  }

  #gone(answered: boolean, cause?: unknown): void {
    // One that was killed, by us or for want of memory, says nothing about the next.
    if (!answered && !this.#stuck) this.#notBeforeMs = performance.now() + restartMs
    this.#child = undefined
    this.#stuck = false
    for (const [id, waiting] of [...this.#waiting]) {
      this.#forget(id, waiting)
      waiting.reject(this.#unanswered(cause ?? new Error('the process that asked it has ended')))
    }
  }

  #unanswered(cause?: unknown): FilesystemUnanswered {
    this.#options.unanswered?.()
    const retryAfterSeconds = Math.max(1, Math.ceil(this.#options.limitMs / 1000))
    return new FilesystemUnanswered(this.#points, retryAfterSeconds, cause)
  }
}
