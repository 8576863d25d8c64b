import { startSidecar } from '../../assembly/sidecar.js'
import { LogOutput, standardOutput } from '../../telemetry/log-output.js'
import { logFormat, logTo, prettyLines } from '../../telemetry/log.js'
import { readSettings, type Flags } from './setting-flags.js'

/** Longest time in milliseconds that the last log lines may delay the exit. */
const flushMs = 500

/** Logged if `leaveProcessOne` has not worked. */
const orphansStay =
  'refstream is process 1, and Node does not reap orphaned processes: they stay as zombies; run it with an init (docker ' +
  'run --init, tini), or by the program `refstream` that npm installs'

/** `refstream serve`: runs until a signal ends it. */
export async function serve(flags: Flags, mistakes: readonly string[]): Promise<void> {
  const unknown: string[] = []
  const settings = await readSettings(flags, mistakes, (name, hint) =>
    unknown.push(`environment variable ${name} is not a setting of refstream; ignored${hint}`),
  )

  const output = new LogOutput(standardOutput(), { shared: settings.workers > 1 })
  const flush = (): void => output.end(flushMs)
  process.once('exit', flush)
  const pretty = process.stdout.isTTY ? await prettyLines() : undefined
  const log = logTo(output, settings.logLevel, pretty, undefined, logFormat(settings))
  if (process.pid === 1) log.warn(orphansStay)
  for (const line of unknown) log.warn(line)
  // Loaded on demand: Node's cluster changes how a process listens.
  const start =
    settings.workers > 1 ? (await import('../../assembly/workers/primary.js')).startWorkers : startSidecar
  const sidecar = await start(settings, log).catch((error: unknown) => {
    process.off('exit', flush)
    flush()
    throw error
  })
  const { url, adminUrl, grpcTarget } = sidecar
  const metrics = adminUrl.startsWith('http') ? { metrics: `${adminUrl}/metrics` } : {}
  const grpc = grpcTarget === undefined ? {} : { grpc: grpcTarget }
  log.info({ root: settings.root, url, admin: adminUrl, ...metrics, ...grpc }, 'listening')

  process.on('SIGHUP', () => sidecar.reload())
  process.on('exit', () => sidecar.killProcesses())
  let stopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1)
    stopping = true
    log.info({ signal, drainSeconds: settings.drainSeconds }, 'draining; a second signal exits at once')
    void sidecar.close().then(() => process.exit(0))
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
}
