import { ChildProcess, spawn, type SpawnOptions as NodeSpawnOptions } from 'node:child_process'
import { Socket } from 'node:net'
import { PassThrough, Readable, type Writable } from 'node:stream'
import type { Permit, PermitRequest, ProcessLimiter } from '../../limits/process/process-limiter.js'
import { inheritedEnvironment } from './environment.js'
import { FilesystemUnanswered } from '../filesystem/filesystem-unanswered.js'
import type { MountTable } from '../filesystem/mount-table.js'
import { RemotePath, type PathGuard } from '../filesystem/path-guard.js'
import { remoteProgram, type Launcher } from './remote-directory.js'

export interface GitOptions {
  /** The Git program: a path, or a name to look up in PATH. */
  readonly path: string
  /** The environment that Git processes are made from, before what each needs is added. */
  readonly environment: NodeJS.ProcessEnv
  /** Tells what may hang; left out: nothing is feared. */
  readonly mounts?: MountTable
  /** Who may run when; left out, everybody at once. */
  readonly limiter?: ProcessLimiter
  readonly started?: (command: string) => void
  /** An upload-pack for a fill of that kind has ended well, so many milliseconds after its start. */
  readonly filled?: (kind: string, ms: number) => void
  /** A process said something on standard error or ended badly, and nobody had asked it to end. */
  readonly complained?: (complaint: Complaint) => void
}

export interface Complaint {
  readonly command: string
  /** What it worked on: mostly a repository. */
  readonly where: string | undefined
  /** The last of what it said. */
  readonly stderr: string
  readonly ending: string
}

export interface SpawnOptions {
  readonly cwd?: string
  /** What starts it instead of this process. */
  readonly launcher?: Launcher
  readonly environment: NodeJS.ProcessEnv
  /** Where the mount is that it works on, if that may hang, and it is to be given up then; see `giveUpOn`. */
  readonly mount?: string | undefined
  /** Descriptors that it gets as 3 and up, and that those get that it starts. */
  readonly handedOn?: readonly number[]
  /** What it works on, for complaints; the working directory if left out. */
  readonly where?: string
  /** Ends the process when it aborts. */
  readonly signal?: AbortSignal
  /** Released when the process is gone, which may be later than its output's end. */
  readonly permit?: Permit
}

/** Git could not be started, or ended otherwise than by exit code 0. */
export class GitError extends Error {
  override readonly name = 'GitError'
}

/** Where nobody counts. */
const unlimitedPermit: Permit = { release: () => {} }

/** Bytes of standard error that are kept: the last, where Git says why it died. */
const stderrMax = 4096
/** Milliseconds between asking a process to end and ending it. */
const killAfterMs = 2000
/** Milliseconds that a killed process has to go. One that is stuck in the kernel does not. */
const goneAfterMs = 3000
/** When to come again if a filesystem does not answer: those who do learn at once whether it does. */
const retryAfterSeconds = 5
/** Processes that may be stuck so without holding a slot; they use no processor. More keep theirs. */
const stuckMax = 16

/** Starts every Git process for requests, and knows all that run, so that none is left behind. */
export class Git {
  readonly path: string
  readonly environment: NodeJS.ProcessEnv
  readonly #options: GitOptions
  readonly #running = new Set<GitProcess>()
  /** Processes that were given up before they were gone. */
  #stuck = 0
  #closing = false

  constructor(options: GitOptions) {
    this.#options = options
    this.path = options.path
    this.environment = inheritedEnvironment(options.environment)
  }

  get running(): number {
    return this.#running.size + this.#stuck
  }

  /** What keeps this process from mounts that may hang; undefined: there are none. */
  get guard(): PathGuard | undefined {
    return this.#options.mounts?.guard()
  }

  /**
   * Leave to run one process, when there is a slot for it; whoever gets it hands it to spawn().
   * @throws Overloaded, or the signal's reason
   */
  async acquirePermit(request: PermitRequest): Promise<Permit> {
    return (await this.#options.limiter?.acquire(request)) ?? unlimitedPermit
  }

  /** Runs `git COMMAND …`. Never throws: a program that cannot be started shows in `ended`. */
  spawn(args: readonly [command: string, ...rest: string[]], options: SpawnOptions): GitProcess {
    const command = args[0]
    const launcher = options.launcher ?? (this.#isRemote ? remoteProgram : undefined)
    const mayGiveUp = (): boolean => this.#closing || this.#stuck < stuckMax
    const process = new GitProcess(this.path, args, { ...options, launcher }, mayGiveUp, (ending) => {
      this.#running.delete(process)
      if (!process.isGone) {
        this.#stuck++
        void process.gone.then(() => this.#stuck--)
      }
      options.permit?.release()
      const { stderr, toldToEnd } = process
      if (!toldToEnd && (stderr || ending !== 'exit code 0')) {
        this.#options.complained?.({ command, where: options.where ?? options.cwd, stderr, ending })
      }
    })
    this.#running.add(process)
    this.#options.started?.(command)
    return process
  }

  /** Is the program itself on a mount that may hang? */
  get #isRemote(): boolean {
    const { guard } = this
    if (!guard) return false
    try {
      guard.check(this.path)
      return false
    } catch (error) {
      if (error instanceof RemotePath) return true
      throw error
    }
  }

  /** Tells how long a fill took. */
  filled(kind: string, ms: number): void {
    this.#options.filled?.(kind, ms)
  }

  /** The whole output of a short command. @throws GitError unless it exits with 0 */
  output(args: readonly [command: string, ...rest: string[]], options: SpawnOptions): Promise<string> {
    return outputOf(this.spawn(args, options))
  }

  /** Ends the processes that work on these mounts, which do not answer, and were started to be given up so. */
  giveUpOn(mounts: readonly string[]): void {
    for (const process of this.#running) process.giveUpOn(mounts)
  }

  /** Ends every process, now. Synchronous, so that it also serves as the last act of a dying program. */
  killAll(): void {
    for (const process of this.#running) process.kill('SIGKILL')
  }

  /** Asks every process to end and waits until all have. */
  async close(): Promise<void> {
    this.#closing = true
    const running = [...this.#running]
    for (const process of running) process.end()
    await Promise.all(running.map((process) => process.ended))
  }
}

/** The whole output of a process that is given nothing. @throws GitError unless its exit code is among `accept` */
export async function outputOf(process: GitProcess, accept: readonly number[] = [0]): Promise<string> {
  process.stdin.end()
  const chunks: Buffer[] = []
  for await (const chunk of process.stdout) chunks.push(chunk as Buffer)
  const { code, reason } = await process.ended
  if (code === undefined || !accept.includes(code)) throw new GitError(`git ${process.command}: ${reason}`)
  return Buffer.concat(chunks).toString()
}

/** How a process ended; `code` is undefined if a signal ended it or it never started. */
export interface Ending {
  readonly code: number | undefined
  readonly reason: string
}

/** One Git process, leader of a process group of its own, so that what it starts ends with it. */
export class GitProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  /** The Git command that it runs. */
  readonly command: string
  /**
   * Resolves when the process is gone and its output is closed, or when it was killed and is given up, for it is stuck in
   * the kernel. Never rejects.
   */
  readonly ended: Promise<Ending>
  /** Resolves when it is gone, in any case. */
  readonly gone: Promise<unknown>
  readonly #pid: number | undefined
  readonly #stderrPipe: Readable | null
  #stderr = Buffer.alloc(0)
  /** Has its leader gone? What it wrote may be read long after that. */
  #exited = false
  #gone = false
  #toldToEnd = false
  #unanswered: FilesystemUnanswered | undefined
  readonly #mount: string | undefined
  #giveUp: () => void = () => {}
  readonly #mayGiveUp: () => boolean

  /** @param mayGiveUp asked when it was killed and has not gone: may it be left alone? */
  constructor(
    path: string,
    args: readonly string[],
    options: Omit<SpawnOptions, 'launcher'> & { readonly launcher: Launcher | undefined },
    mayGiveUp: () => boolean,
    done: (ending: string) => void,
  ) {
    const { launcher, environment, signal, handedOn = [] } = options
    const stdio: NodeSpawnOptions['stdio'] = ['pipe', 'pipe', 'pipe', ...handedOn]
    const [program, ...before] = launcher ?? [path]
    // This process's own directory may be on such a mount.
    const cwd = options.cwd ?? (launcher ? '/' : undefined)
    const line = launcher ? [...before, path, ...args] : args
    const child = start(program, line, { cwd, env: environment, detached: true, stdio })
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
    // A process that ends early leaves whoever writes to it with EPIPE; its exit code tells the story.
    this.stdin.on('error', () => {})
    const abort = (): void => this.end()
    signal?.addEventListener('abort', abort, { once: true })
    child.once('exit', () => (this.#exited = true))
    const gone = new Promise<Ending>((resolve) => {
      child.once('error', (error) => resolve({ code: undefined, reason: error.message }))
      child.once('close', (code, killedBy) => {
        if (code === null) resolve({ code: undefined, reason: `killed by ${killedBy}` })
        else resolve({ code, reason: `exit code ${code}` })
      })
    })
    const givenUp = new Promise<Ending>((resolve) => {
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

  /** The last of what the process said on standard error. */
  get stderr(): string {
    return this.#stderr.toString().trim()
  }

  /** Bytes that it has been handed and that have been read of it. */
  get moved(): number {
    const written = this.stdin instanceof Socket ? this.stdin.bytesWritten : 0
    return written + (this.stdout instanceof Socket ? this.stdout.bytesRead : 0)
  }

  get isGone(): boolean {
    return this.#gone
  }

  /** Has it been asked to end before it did? */
  get toldToEnd(): boolean {
    return this.#toldToEnd
  }

  /** Why it was given up, if it was. */
  get unanswered(): FilesystemUnanswered | undefined {
    return this.#unanswered
  }

  giveUpOn(mounts: readonly string[]): void {
    if (this.#mount === undefined || !mounts.includes(this.#mount)) return
    this.#unanswered = new FilesystemUnanswered([this.#mount], retryAfterSeconds)
    this.end()
  }

  /** Asks the process group to end, and ends it if it does not. */
  end(): void {
    if (this.#gone) return
    this.#toldToEnd = true
    this.kill('SIGTERM')
    let timer = setTimeout(() => {
      this.kill('SIGKILL')
      // Whoever has left the process group and still holds a pipe keeps nobody waiting for its end.
      this.stdout.destroy()
      this.#stderrPipe?.destroy()
      timer = setTimeout(() => {
        if (this.#mayGiveUp()) this.#giveUp()
      }, goneAfterMs).unref()
    }, killAfterMs).unref()
    void this.gone.then(() => clearTimeout(timer))
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#gone || this.#pid === undefined) return
    // The kernel gives a number to nobody while a group bears it: a process that has it now is a stranger, and so is its group.
    if (this.#exited && isThere(this.#pid)) return
    try {
      process.kill(-this.#pid, signal)
    } catch {
      // ESRCH: it went by itself.
    }
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/**
 * spawn() tells of some failures by an event and of others (ENOMEM, E2BIG) by a throw, and out of file descriptors it
 * gives a process without streams. Here they all become an event.
 */
function start(path: string, args: readonly string[], options: NodeSpawnOptions): ChildProcess {
  try {
    return spawn(path, args, options)
  } catch (error) {
    const child = new ChildProcess()
    setImmediate(() => child.emit('error', error))
    return child
  }
}
