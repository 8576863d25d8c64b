import { Socket } from 'node:net'
import { PassThrough, Readable, type Writable } from 'node:stream'
import { FilesystemUnanswered } from '../filesystem/filesystem-unanswered.js'
import { childCpu } from './child-cpu.js'
import { GitError } from './git-error.js'
import type { Launcher } from './launcher.js'
import { signalGroup, startInGroup } from './process-group.js'

/** How a Git process is started. */
export interface ProcessOptions {
  readonly cwd?: string
  /** A program that starts Git instead of this process. */
  readonly launcher?: Launcher | undefined
  readonly environment: NodeJS.ProcessEnv
  /** Mount point of the filesystem it works on, if that may hang and the process is to be given up then; see `giveUpOn`. */
  readonly mount?: string | undefined
  /** Descriptors that it inherits as 3 and up, and passes on to its own children. */
  readonly extraDescriptors?: readonly number[]
  /** Ends the process when it aborts. */
  readonly signal?: AbortSignal
  /** Is `cpuSeconds` to be known? */
  readonly measuresCpu?: boolean
}

/** How a process ended; `code` is undefined if a signal ended it or it never started. */
export interface ProcessEnding {
  readonly code: number | undefined
  readonly reason: string
}

/** Bytes of standard error that are kept: the last, where Git says why it failed. */
const stderrMax = 4096
/** Milliseconds from SIGTERM to SIGKILL. */
const killAfterMs = 2000
/** Milliseconds after SIGKILL until a process counts as stuck in the kernel. */
const goneAfterMs = 3000
/** Retry-After for a filesystem that does not answer: a retry fails at once if it still does not. */
const retryAfterSeconds = 5

/** One Git process, leader of a process group of its own, so that its children end with it. */
export class GitProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  /** The Git command that it runs. */
  readonly command: string
  /**
   * Resolves when the process is gone and its output is closed, or when it was killed, is stuck in the kernel, and is
   * given up. Never rejects.
   */
  readonly ended: Promise<ProcessEnding>
  /** Resolves when the process is gone, given up or not. */
  readonly gone: Promise<unknown>
  readonly #pid: number | undefined
  readonly #stderrPipe: Readable | null
  #stderr = Buffer.alloc(0)
  /** Has the group's leader gone? Its output may be read long after that. */
  #exited = false
  #gone = false
  #cpuSeconds: number | undefined
  #endRequested = false
  #unanswered: FilesystemUnanswered | undefined
  readonly #mount: string | undefined
  #giveUp: () => void = () => {}
  readonly #mayGiveUp: () => boolean

  /**
   * @param mayGiveUp called when the process was killed and has not gone: may it be left behind?
   * @param done called with the reason of `ended` before that resolves
   */
  constructor(
    path: string,
    args: readonly string[],
    options: ProcessOptions,
    mayGiveUp: () => boolean,
    done: (ending: string) => void,
  ) {
    const { launcher, environment, signal, extraDescriptors: extraDescriptors = [] } = options
    const [program, ...before] = launcher ?? [path]
    // This process's own directory may be on a mount that hangs.
    const cwd = options.cwd ?? (launcher ? '/' : undefined)
    const line = launcher ? [...before, path, ...args] : args
    const stdio = ['pipe', 'pipe', 'pipe', ...extraDescriptors] as const
    const child = startInGroup(program, line, { cwd, env: environment, stdio: [...stdio] })
    this.#mayGiveUp = mayGiveUp
    this.#mount = options.mount
    this.#pid = child.pid
    this.command = args[0] ?? ''
    this.stdin = child.stdin ?? new PassThrough().destroy()
    this.stdout = child.stdout ?? Readable.from([])
    this.#stderrPipe = child.stderr
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = Buffer.concat([this.#stderr, chunk]).subarray(-stderrMax)
    })
    // Writing to a process that has ended early fails with EPIPE; its exit code says more.
    this.stdin.on('error', () => {})
    const abort = (): void => this.end()
    signal?.addEventListener('abort', abort, { once: true })
    const takeCpu = options.measuresCpu ? childCpu.measure() : () => childCpu.otherEnded()
    const exited = (): void => {
      this.#exited = true
      this.#cpuSeconds = takeCpu()
    }
    // Without a pid it could not be started, and there is no `exit`.
    child.once(child.pid === undefined ? 'error' : 'exit', exited)
    const gone = new Promise<ProcessEnding>((resolve) => {
      child.once('error', (error) => resolve({ code: undefined, reason: error.message }))
      child.once('close', (code, killedBy) => {
        if (code === null) resolve({ code: undefined, reason: `killed by ${killedBy}` })
        else resolve({ code, reason: `exit code ${code}` })
      })
    })
    const givenUp = new Promise<ProcessEnding>((resolve) => {
      this.#giveUp = () => resolve({ code: undefined, reason: 'killed, and stuck in the kernel' })
    })
    this.gone = gone.then(() => (this.#gone = true))
    this.ended = Promise.race([gone, givenUp]).then((ending) => {
      signal?.removeEventListener('abort', abort)
      done(ending.reason)
      return ending
    })
    if (signal?.aborted) this.end()
  }

  /** The last of what the process wrote to standard error. */
  get stderr(): string {
    return this.#stderr.toString().trim()
  }

  /** Bytes written to the process and read from it, in all. */
  get moved(): number {
    const written = this.stdin instanceof Socket ? this.stdin.bytesWritten : 0
    return written + (this.stdout instanceof Socket ? this.stdout.bytesRead : 0)
  }

  /**
   * Seconds of user and system time that it and its children took, once it has exited; see `ChildCpu`. undefined: unknown, or
   * not asked for. A child that it has not waited for, for it was killed, is not counted.
   */
  get cpuSeconds(): number | undefined {
    return this.#cpuSeconds
  }

  get isGone(): boolean {
    return this.#gone
  }

  /** Was it asked to end before it did? */
  get endRequested(): boolean {
    return this.#endRequested
  }

  /** Why it was given up, if it was. */
  get unanswered(): FilesystemUnanswered | undefined {
    return this.#unanswered
  }

  /** Ends the process if it works on one of these mounts, which do not answer, and was started to be given up then. */
  giveUpOn(mounts: readonly string[]): void {
    if (this.#mount === undefined || !mounts.includes(this.#mount)) return
    this.#unanswered = new FilesystemUnanswered([this.#mount], retryAfterSeconds)
    this.end()
  }

  /** Asks the process group to end, kills it if it does not, and gives it up if it is stuck in the kernel. */
  end(): void {
    if (this.#gone) return
    this.#endRequested = true
    this.kill('SIGTERM')
    let timer = setTimeout(() => {
      this.kill('SIGKILL')
      // A descendant that has left the process group and still holds a pipe must not delay the end.
      this.stdout.destroy()
      this.#stderrPipe?.destroy()
      timer = setTimeout(() => {
        if (this.#mayGiveUp()) this.#giveUp()
      }, goneAfterMs).unref()
    }, killAfterMs).unref()
    void this.gone.then(() => clearTimeout(timer))
  }

  /** Sends a signal to the process group, if any of it is left. */
  kill(signal: NodeJS.Signals): void {
    if (this.#gone || this.#pid === undefined) return
    signalGroup(this.#pid, signal, this.#exited)
  }
}

/**
 * Returns the whole output of a process that gets no input.
 * @throws GitError unless its exit code is among `accept`
 */
export async function outputOf(process: GitProcess, accept: readonly number[] = [0]): Promise<string> {
  process.stdin.end()
  const chunks: Buffer[] = []
  for await (const chunk of process.stdout) chunks.push(chunk as Buffer)
  const { code, reason } = await process.ended
  if (code === undefined || !accept.includes(code)) throw new GitError(`git ${process.command}: ${reason}`)
  return Buffer.concat(chunks).toString()
}
