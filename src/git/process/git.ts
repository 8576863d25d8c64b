import type { Permit, PermitRequest, ProcessLimiter } from '../../limits/process/process-limiter.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import type { MountTable } from '../filesystem/mount-table.js'
import { RemotePath, type PathGuard } from '../filesystem/path-guard.js'
import { inheritedEnvironment } from './environment.js'
import { GitProcess, outputOf, type ProcessOptions } from './git-process.js'
import { remoteProgram } from './launcher.js'

export interface GitOptions {
  /** The Git program: a path, or a name to look up in PATH. */
  readonly path: string
  /** Inherited by Git processes, before what each of them needs is added. */
  readonly environment: NodeJS.ProcessEnv
  /** Tells which mounts may hang; left out: none. */
  readonly mounts?: MountTable
  /** Limits how many processes run at once; left out: no limit. */
  readonly limiter?: ProcessLimiter
  readonly started?: (command: string) => void
  /** Called when an upload-pack for a fill of that kind has ended well, so many milliseconds after its start. */
  readonly filled?: (kind: string, ms: number) => void
  /** Called when a process wrote to standard error or failed without having been asked to end. */
  readonly complained?: (complaint: Complaint) => void
  /** Has a span for each process, and for each wait for a permit; undefined: there are no traces. */
  readonly tracing?: Pick<Tracing, 'process' | 'span'> | undefined
}

export interface Complaint {
  readonly command: string
  /** What it worked on: mostly a repository. */
  readonly where: string | undefined
  /** The last of what it wrote. */
  readonly stderr: string
  readonly ending: string
}

export interface SpawnOptions extends ProcessOptions {
  /** What it works on, for complaints; the working directory if left out. */
  readonly where?: string
  /** Is its standard error left out of complaints, since it may hold secrets? */
  readonly hidesStderr?: boolean
  /** Released when the process is gone, which may be later than its output's end. */
  readonly permit?: Permit
}

/** Used if there is no limiter. */
const unlimitedPermit: Permit = { release: () => {}, becomePass: () => true }

/**
 * Stuck processes that may be left behind at once with their permits released; they use no CPU. Any further ones keep their
 * permits.
 */
const stuckMax = 16

/** Starts every Git process for requests, and knows all that run, so that none is left behind. */
export class Git {
  readonly path: string
  readonly environment: NodeJS.ProcessEnv
  readonly #options: GitOptions
  readonly #running = new Set<GitProcess>()
  /** Processes that were given up and are not gone. */
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

  /** Keeps this process from mounts that may hang; undefined: there are none. */
  get guard(): PathGuard | undefined {
    return this.#options.mounts?.guard()
  }

  /**
   * Resolves when one process may run, with a permit to pass to `spawn`.
   * @throws Overloaded, or the signal's reason
   */
  async acquirePermit(request: PermitRequest): Promise<Permit> {
    const { limiter, tracing } = this.#options
    if (!limiter) return unlimitedPermit
    if (!tracing) return limiter.acquire(request)
    return tracing.span('wait for permit', {}, () => limiter.acquire(request))
  }

  /** Runs `git COMMAND …`. Never throws: if the program cannot be started, `ended` says so. */
  spawn(args: readonly [command: string, ...rest: string[]], options: SpawnOptions): GitProcess {
    const command = args[0]
    const launcher = options.launcher ?? (this.#isRemote ? remoteProgram : undefined)
    const mayGiveUp = (): boolean => this.#closing || this.#stuck < stuckMax
    const trace = this.#options.tracing?.process(command, options.environment, options.hidesStderr ?? false)
    const environment = trace ? { ...options.environment, ...trace.environment } : options.environment
    const run = { ...options, launcher, environment }
    const process = new GitProcess(this.path, args, run, mayGiveUp, (ending) => {
      this.#running.delete(process)
      if (!process.isGone) {
        this.#stuck++
        void process.gone.then(() => this.#stuck--)
      }
      options.permit?.release()
      const { endRequested } = process
      const stderr = options.hidesStderr ? '' : process.stderr
      if (!endRequested && (stderr || ending !== 'exit code 0')) {
        this.#options.complained?.({ command, where: options.where ?? options.cwd, stderr, ending })
      }
    })
    this.#running.add(process)
    if (trace) void process.ended.then((ending) => trace.ended(ending, process.endRequested))
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

  /** Reports how long a fill took. */
  filled(kind: string, ms: number): void {
    this.#options.filled?.(kind, ms)
  }

  /** Resolves with the whole output of a short command. @throws GitError unless it exits with 0 */
  output(args: readonly [command: string, ...rest: string[]], options: SpawnOptions): Promise<string> {
    return outputOf(this.spawn(args, options))
  }

  /** Ends the processes that work on these mounts, which do not answer, and that were started to be given up then. */
  giveUpOn(mounts: readonly string[]): void {
    for (const process of this.#running) process.giveUpOn(mounts)
  }

  /** Kills every process. Synchronous, so that it can be the last call of a program that ends. */
  killAll(): void {
    for (const process of this.#running) process.kill('SIGKILL')
  }

  /** Asks every process to end; resolves when all have ended or were given up. */
  async close(): Promise<void> {
    this.#closing = true
    const running = [...this.#running]
    for (const process of running) process.end()
    await Promise.all(running.map((process) => process.ended))
  }
}
