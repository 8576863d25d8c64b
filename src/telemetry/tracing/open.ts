import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { SpanExporter } from '@opentelemetry/sdk-trace-base'
import { atMostEvery, type Log } from '../log.js'
import { loadSdk, type SdkPackages } from './sdk-packages.js'
import { Tracing } from './tracing.js'
import { Trace2Files } from './trace2/trace2-files.js'

export interface OpenTracingOptions {
  readonly version: string
  /** Names this process among the workers of one refstream; undefined: it has no workers. */
  readonly worker?: number | undefined
  readonly log: Log
  /** What loads the SDK; left out: the packages themselves. */
  readonly load?: () => Promise<SdkPackages>
}

/** Traces of this process, and their export. */
export interface OpenTracing {
  readonly tracing: Tracing
  /** Exports what has not been yet, in 2 seconds at most. Never rejects. */
  close(): Promise<void>
}

/** Milliseconds between two log lines about spans that could not be exported. */
const quietMs = 60_000
/** Longest time in milliseconds that the last export may take. */
const closeMs = 2000

/**
 * Opens the export of traces by OTLP over HTTP. The SDK reads where to, and how much, from the environment of this process
 * (OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME).
 * @throws SdkMissing
 */
export async function openTracing({ version, worker, log, load }: OpenTracingOptions): Promise<OpenTracing> {
  const sdk = await loadSdk(load)
  const exporter = reporting(new sdk.exporter.OTLPTraceExporter(), log)
  const provider = new sdk.trace.BasicTracerProvider({
    resource: resourceOf(sdk, version, worker),
    spanProcessors: [new sdk.trace.BatchSpanProcessor(exporter)],
  })
  const trace2 = await Trace2Files.open().catch((err: unknown) => {
    log.warn(
      { err },
      'there is no temporary directory for what Git tells of its work; traces go without that',
    )
    return undefined
  })
  return {
    tracing: new Tracing({ tracer: provider.getTracer('refstream', version), trace2 }),
    close: async () => {
      const closing = (async () => {
        await trace2?.close().catch(() => {})
        await provider.shutdown().catch(() => {})
      })()
      let timer: NodeJS.Timeout | undefined
      await Promise.race([closing, new Promise((resolve) => (timer = setTimeout(resolve, closeMs)))])
      clearTimeout(timer)
    },
  }
}

/** What the environment says comes before what is known here, but workers are told apart in any case. */
function resourceOf({ resources }: SdkPackages, version: string, worker: number | undefined) {
  const given = resources.detectResources({ detectors: [resources.envDetector] })
  const name = given.attributes['service.instance.id']
  const own = resources.resourceFromAttributes({
    'service.name': 'refstream',
    'service.version': version,
    'service.instance.id': randomUUID(),
    'host.name': hostname(),
    'process.pid': process.pid,
  })
  const ofWorker =
    worker === undefined || typeof name !== 'string'
      ? resources.emptyResource()
      : resources.resourceFromAttributes({ 'service.instance.id': `${name}-w${worker}` })
  return resources.defaultResource().merge(own).merge(given).merge(ofWorker)
}

/** Returns an exporter that logs when spans could not be exported. */
function reporting(exporter: SpanExporter, log: Log): SpanExporter {
  const failed = atMostEvery(quietMs, (reason: string) =>
    log.warn({ reason }, 'traces could not be exported; what cannot be kept until they can is dropped'),
  )
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.error) failed(result.error.message)
        done(result)
      }),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown(),
  }
}
