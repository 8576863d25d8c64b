import type { Settings } from '../config/options/options.js'
import { ConfigError } from '../config/values/config-error.js'
import { packageVersion } from '../config/version.js'
import type { Log } from '../telemetry/log.js'
import { sdkMistakes } from '../telemetry/tracing/sdk-environment.js'
import { loadSdk } from '../telemetry/tracing/sdk-packages.js'
import type { Tracing } from '../telemetry/tracing/tracing.js'
import type { Closers } from './closers.js'

/** OTEL_SDK_DISABLED is OpenTelemetry's own switch, for all programs alike. */
const areOn = ({ traces }: Settings): boolean =>
  traces === 'otlp' && process.env['OTEL_SDK_DISABLED']?.toLowerCase() !== 'true'

/** Checks that traces can be exported. The SDK reads the environment of this process. @throws ConfigError */
export async function checkTraces(settings: Settings): Promise<void> {
  if (!areOn(settings)) return
  const mistakes = [...sdkMistakes(process.env)]
  await loadSdk().catch((error: unknown) => mistakes.push((error as Error).message))
  if (mistakes.length > 0) throw new ConfigError(mistakes.map((mistake) => `--traces: ${mistake}`))
}

/**
 * Loads what traces need, only where they are wanted.
 * @param worker number of this worker; undefined: there are no workers
 * @param closers for what exports the last spans, after all that was opened later has closed
 */
export async function openTraces(
  settings: Settings,
  worker: number | undefined,
  closers: Closers,
  log: Log,
): Promise<Tracing | undefined> {
  if (!areOn(settings)) return undefined
  const { openTracing } = await import('../telemetry/tracing/open.js')
  const opened = await openTracing({ version: packageVersion(), worker, log })
  closers.add(() => opened.close())
  return opened.tracing
}
