import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { TailedRequest } from '../../status/request-tail.js'
import { adminOption } from '../admin/client.js'
import { read } from '../admin/read.js'
import { printable } from '../live/printable.js'

interface TailOptions {
  readonly admin: string
  readonly repository?: string
  readonly outcome?: string
  readonly json?: true
}

interface Answer {
  readonly requests: readonly TailedRequest[]
  readonly dropped: number
  readonly next: string
}

/** Milliseconds between two questions. */
const pauseMs = 250

/** `refstream tail`: prints requests as they end, until it is interrupted. */
export function addTailCommand(program: Command): void {
  program
    .command('tail')
    .description('Print requests as they end, until it is interrupted. Those that were missed are counted.')
    .addOption(adminOption())
    .option('--repository <GLOB>', 'only requests for repositories that match, such as "team/**"')
    .option('--outcome <LIST>', 'only requests with one of these outcomes, such as filled,error')
    .option('--json', 'a JSON object for each request')
    .action(tail)
}

async function tail({ admin, repository, outcome, json }: TailOptions): Promise<never> {
  const filter = new URLSearchParams({ ...(repository && { repository }), ...(outcome && { outcome }) })
  for (;;) {
    const { requests, dropped, next } = (await read(admin, `/v1/requests?${filter}`)) as Answer
    filter.set('from', next)
    if (dropped > 0 && json) print(JSON.stringify({ dropped }))
    else if (dropped > 0) process.stderr.write(`refstream: ${dropped} requests were missed\n`)
    for (const request of requests) print(json ? JSON.stringify(request) : lineOf(request))
    await sleep(pauseMs)
  }
}

const print = (line: string): unknown => process.stdout.write(`${line}\n`)

/** Returns the columns of a request: time, duration, outcome, kind, bytes, repository, client, id. */
export function lineOf(request: TailedRequest): string {
  const { at, ms, outcome, kind, version, sentBytes, repository = '-', user, client = '-', id } = request
  const from = user === undefined ? client : `${user}@${client}`
  const columns = [
    new Date(at).toISOString().slice(11, 23),
    `${ms.toFixed(1)} ms`.padStart(11),
    outcome.padEnd(10),
    `${kind} v${version}`.padEnd(17),
    `${sentBytes} B`.padStart(12),
    repository,
    from,
    id,
  ]
  return columns.map(printable).join('  ')
}
