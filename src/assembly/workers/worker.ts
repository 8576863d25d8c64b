/** The program of a worker process: Node's cluster starts it (primary.ts). */
import { rmSync } from 'node:fs'
import { deserialize } from 'node:v8'
import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import { LogOutput, standardOutput } from '../../telemetry/log-output.js'
import { logFormat, logTo, prettyLines } from '../../telemetry/log.js'
import { startSidecar, type Sidecar } from '../sidecar.js'
import { workerContext } from '../worker-context/context.js'
import type { Order, Place, Report } from '../worker-context/messages.js'
import { topicOf } from './topics.js'

/** Longest time in milliseconds that the last log lines may delay the exit. */
const flushMs = 500

const control = topicOf(process, 'control')
const fleet = topicOf(process, 'fleet')
let sidecar: Sidecar | undefined
let isStopping = false

const tell = (report: Report): Promise<void> =>
  new Promise((resolve) => void control.send(report, () => resolve()))

async function start(settings: Settings, place: Place): Promise<void> {
  const output = new LogOutput(standardOutput(), { shared: true })
  process.once('exit', () => {
    sidecar?.killProcesses()
    output.end(flushMs)
    // A primary that was killed has not removed it.
    if (!process.connected) rmSync(place.directory, { recursive: true, force: true })
  })
  const pretty = place.pretty ? await prettyLines() : undefined
  const log = logTo(output, settings.logLevel, pretty, { worker: place.index }, logFormat(settings))
  const context = workerContext(place, { control, fleet })
  sidecar = await startSidecar(settings, log, process.env, context)
  const { url, adminUrl, grpcTarget } = sidecar
  await tell({ kind: 'listening', at: { url, adminUrl, grpcTarget } })
}

async function stop(): Promise<void> {
  if (isStopping) return
  isStopping = true
  await sidecar?.close()
  process.exit(0)
}

async function fail(error: unknown): Promise<void> {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  await tell(
    error instanceof ConfigError ? { kind: 'failed', mistakes: error.mistakes } : { kind: 'failed', stack },
  )
  process.exit(1)
}

// A terminal and service managers send signals to all processes of a group: the primary acts on them.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
// Node's cluster ends this process when the primary is gone.
control.onMessage((message) => {
  const order = message as Order
  if (order.kind === 'start') {
    const settings = deserialize(Buffer.from(order.settings, 'base64')) as Settings
    start(settings, order.place).catch(fail)
  } else if (order.kind === 'reload') sidecar?.reload()
  else if (order.kind === 'stop') void stop()
})
void tell({ kind: 'started' })
