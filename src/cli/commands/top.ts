import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidArgumentError, type Command } from 'commander'
import type { Status } from '../../status/model.js'
import { adminOption } from '../admin/client.js'
import { AdminFault, read } from '../admin/read.js'
import { frame } from '../live/frame.js'
import { printable } from '../live/printable.js'
import { Screen } from '../live/screen.js'

interface TopOptions {
  readonly admin: string
  /** Seconds. */
  readonly interval: number
  readonly once?: true
  readonly json?: true
}

/** `refstream top`: shows in a terminal what a sidecar does. */
export function addTopCommand(program: Command): void {
  program
    .command('top')
    .description('Show in the terminal what a sidecar does: requests, fills, queues, failures. q ends it.')
    .addOption(adminOption())
    .option('--interval <SECONDS>', 'time between two looks', parseInterval, 1)
    .option('--once', 'print it once')
    .option('--json', 'as GET /v1/status, one line for each look')
    .action(top)
}

function parseInterval(text: string): number {
  const seconds = Number(text)
  if (!(seconds >= 0.1 && seconds <= 3600)) throw new InvalidArgumentError('It must be 0.1 to 3600 seconds.')
  return seconds
}

async function top({ admin, interval, once: isOnce, json }: TopOptions): Promise<void> {
  const isScreen = !isOnce && !json && process.stdout.isTTY
  if (isScreen) return showOnScreen(admin, interval * 1000)
  for (let before: Status | undefined; ;) {
    const status = await statusOf(admin)
    const lines = json ? [JSON.stringify(status)] : [...frame(status, before, admin), ...(isOnce ? [] : [''])]
    if (!process.stdout.write(`${lines.join('\n')}\n`)) await once(process.stdout, 'drain')
    if (isOnce) return
    before = status
    await sleep(interval * 1000)
  }
}

/** Shows the status on the terminal's other screen, until a key ends it. */
async function showOnScreen(admin: string, everyMs: number): Promise<void> {
  const screen = new Screen()
  let lines = ['']
  try {
    for (let before: Status | undefined; !screen.isOver;) {
      try {
        const status = await statusOf(admin)
        lines = frame(status, before, admin)
        before = status
        screen.show(lines)
      } catch (error) {
        if (!(error instanceof AdminFault)) throw error
        // It may be starting again: what was seen last stays.
        screen.show([printable(error.message), ...lines])
      }
      await Promise.race([sleep(everyMs, undefined, { ref: false }), screen.ended])
    }
  } finally {
    screen.close()
  }
}

/** @throws AdminFault */
const statusOf = async (admin: string): Promise<Status> => (await read(admin, '/v1/status')) as Status
