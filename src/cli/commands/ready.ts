import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidArgumentError, type Command } from 'commander'
import { adminOption, askAdmin } from '../admin/client.js'

interface ReadyOptions {
  readonly admin: string
  readonly wait?: true
  /** Seconds. */
  readonly timeout: number
}

/** Milliseconds between two questions of `--wait`. */
const pauseMs = 200
/** Longest `--timeout` in seconds. */
const timeoutMax = 86_400

/** `refstream ready`: exits with 0 if a sidecar is ready, and with 1 after a line that says why it is not. */
export function addReadyCommand(program: Command): void {
  program
    .command('ready')
    .description('Report whether a sidecar is ready for requests: exit code 0 if it is, 1 if not.')
    .addOption(adminOption('no token is needed'))
    .option('--wait', 'ask again until it is ready, or the time is over')
    .option('--timeout <SECONDS>', 'longest time for the answer or, with --wait, for all', parseTimeout, 30)
    .action(async (options: ReadyOptions) => {
      const fault = await askUntilReady(options)
      if (fault === undefined) process.stdout.write(`ready at ${options.admin}\n`)
      else {
        process.stderr.write(`refstream: ${fault}\n`)
        process.exitCode = 1
      }
    })
}

function parseTimeout(text: string): number {
  const seconds = Number(text)
  if (!(seconds > 0 && seconds <= timeoutMax))
    throw new InvalidArgumentError(`It must be more than 0 and at most ${timeoutMax} seconds.`)
  return seconds
}

/** Resolves with the last reason why the sidecar is not ready; undefined: it is. */
async function askUntilReady({ admin, wait, timeout }: ReadyOptions): Promise<string | undefined> {
  const until = performance.now() + timeout * 1000
  for (;;) {
    const fault = await notReady(admin, until - performance.now())
    if (fault === undefined || !wait) return fault
    const left = until - performance.now()
    if (left <= pauseMs) return `${fault} (waited ${timeout} s)`
    await sleep(pauseMs)
  }
}

async function notReady(admin: string, withinMs: number): Promise<string | undefined> {
  try {
    const { status, body } = await askAdmin(admin, 'GET', '/readyz', undefined, withinMs)
    if (status === 200) return undefined
    return `not ready at ${admin}: ${typeof body === 'string' ? body.trim() : `status ${status}`}`
  } catch (error) {
    return `not ready: no sidecar answers at ${admin}: ${(error as Error).message}`
  }
}
