import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { renewalIntervalMs } from '../../freshness/leases/lease-renewal.js'
import { changedRefs } from '../../service/changed-refs.js'
import { adminOption, askAdmin, type AdminAnswer } from '../admin/client.js'

interface LeaseRunOptions {
  readonly admin: string
  readonly repository: string
  readonly ttlSeconds: number
  readonly reason?: string
  readonly ref: readonly string[]
}

/** `refstream lease run`: runs a command under a mutator lease. */
export function addLeaseCommand(program: Command): void {
  program
    .command('lease')
    .description('Open leases for changes of a repository.')
    .command('run')
    .description('Run a command under a lease, which ends when the command does.')
    .addOption(adminOption())
    .requiredOption('--repository <PATH>', 'path below the root, as in the URL, or absolute', parsePath)
    .option(
      '--ttl-seconds <SECONDS>',
      'time limit of the lease, which is renewed after each third of it',
      parseSeconds,
      60,
    )
    .option('--reason <TEXT>', 'shown by GET /v1/leases')
    .option(
      '--ref <NAME>',
      'full name of a ref that the command may change; may be repeated, and then no other ref may change',
      (name: string, names: readonly string[]) => [...names, parseRef(name)],
      [] as readonly string[],
    )
    .argument('<COMMAND...>', 'command to run, after --')
    .action(async ([command, ...args]: string[], options: LeaseRunOptions) => {
      const lease = new HeldLease(options)
      await lease.open()
      process.exitCode = await run(command as string, args)
      await lease.end()
    })
}

function parsePath(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must be the path of a repository; . is the root.')
  return text
}

function parseRef(text: string): string {
  try {
    changedRefs([text])
    return text
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`)
  }
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (!(seconds >= 1 && seconds <= 86_400)) throw new InvalidArgumentError('It must be 1 to 86400 seconds.')
  return seconds
}

/** A lease that never blocks the command: without a sidecar, the command runs with a warning. */
class HeldLease {
  readonly #options: LeaseRunOptions
  #id: string | undefined
  #timer: NodeJS.Timeout | undefined
  /** Single flight: a sidecar that is slow to respond gets no further request for a lease. */
  #renewing: Promise<void> | undefined

  constructor(options: LeaseRunOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    await this.#acquire()
    const renew = (): void => {
      this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined))
    }
    this.#timer = setInterval(renew, renewalIntervalMs(this.#options.ttlSeconds * 1000))
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    // A renewal may be opening another lease, which must end too.
    await this.#renewing
    const { repository, ref: refs } = this.#options
    const body = refs.length > 0 ? { refs } : {}
    if (this.#id !== undefined && (await this.#ask('DELETE', `/v1/leases/${this.#id}`, body))) return
    // Without a lease that the sidecar knows, the change is reported by an invalidation.
    await this.#ask(
      'POST',
      '/v1/invalidate',
      { repository },
      'cannot report the change; cached answers may be stale for up to unleased-max-age-seconds',
    )
  }

  async #acquire(): Promise<void> {
    const { repository, ttlSeconds, reason } = this.#options
    const answer = await this.#ask(
      'POST',
      '/v1/leases',
      { repository, ttlSeconds, reason },
      'cannot open a lease; the command runs without one',
    )
    // A sidecar that does not respond may still know the earlier lease later.
    this.#id = (answer?.body as { id: string } | undefined)?.id ?? this.#id
  }

  async #renew(): Promise<void> {
    const { ttlSeconds } = this.#options
    const renewed =
      this.#id !== undefined && (await this.#ask('PUT', `/v1/leases/${this.#id}`, { ttlSeconds }))
    if (!renewed) await this.#acquire()
  }

  /** Sends a request; undefined: it failed. @param warning what a failure means; left out: no warning is printed */
  async #ask(method: string, path: string, body: object, warning?: string): Promise<AdminAnswer | undefined> {
    const { admin } = this.#options
    try {
      const answer = await askAdmin(admin, method, path, body)
      if (answer.status < 300) return answer
      const { detail = `status ${answer.status}` } = answer.body as { detail?: string }
      throw new Error(detail)
    } catch (error) {
      const line = `refstream: ${warning}: ${admin}: ${(error as Error).message}\n`
      if (warning !== undefined) process.stderr.write(line)
      return undefined
    }
  }
}

/** Runs a command. @returns its exit code, 128 + the number of the signal that ended it, or 127 if it cannot be started, as sh(1) does */
function run(command: string, args: readonly string[]): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    // Registered before the command starts: a signal in between would end this process and leave the lease open. A terminal
    // sends SIGINT to both processes; the other signals come to this one alone.
    process.on('SIGINT', () => {})
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
    const child = spawn(command, args, { stdio: 'inherit' })
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]))
  }).catch((error: unknown) => {
    // Rejected by the event or, for an empty name, by a throw of spawn.
    process.stderr.write(`refstream: ${command}: ${(error as Error).message}\n`)
    return 127
  })
}
