import type { Test } from 'tap'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from './eventually.js'

/** A span as it was exported; ids in hexadecimal. */
export interface ExportedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty: it has no parent. */
  readonly parentId: string
  readonly name: string
  /** 1: internal, 2: server, 3: client. */
  readonly kind: number
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly isError: boolean
  /** Of the process that has exported it. */
  readonly resource: Readonly<Record<string, unknown>>
}

export interface OtlpSink {
  readonly url: string
  readonly spans: readonly ExportedSpan[]
  /** Exports so far. */
  readonly exports: number
  /** What a sidecar's environment needs to export to it soon. */
  readonly environment: NodeJS.ProcessEnv
  /** Resolves with a span, when it has come. */
  find(what: string, matches: (span: ExportedSpan) => boolean): Promise<ExportedSpan>
  /** Resolves with the only child of that name, when it has come. */
  childOf(parent: ExportedSpan, name: string): Promise<ExportedSpan>
  /** Resolves with the span of a client's only request. */
  requestOf(client: TracedClient): Promise<ExportedSpan>
  /** Returns the names of all spans of a client's trace so far, sorted; whether it waits for admission is up to the machine. */
  namesOf(client: TracedClient): string[]
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>> & { readonly value: string }
}

interface RawSpan {
  readonly trace_id: Buffer
  readonly span_id: Buffer
  readonly parent_span_id: Buffer
  readonly name: string
  readonly kind: number
  readonly start_time_unix_nano: string
  readonly end_time_unix_nano: string
  readonly attributes: readonly Attribute[]
  readonly links: readonly { readonly trace_id: Buffer; readonly span_id: Buffer }[]
  readonly status: { readonly code: number } | null
}

interface RawExport {
  readonly resource_spans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scope_spans: readonly { readonly spans: readonly RawSpan[] }[]
  }[]
}

const definition = loadSync(new URL('otlp-trace.proto', import.meta.url).pathname, {
  ...{ keepCase: true, longs: String, oneofs: true, defaults: true, arrays: true },
})
const service = definition['refstream.test.TraceService'] as ServiceDefinition
const { requestDeserialize } = service['Export'] as MethodDefinition<RawExport, object>

const valuesOf = (attributes: readonly Attribute[]): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.value === 'int_value' ? Number(value['int_value']) : value[value.value],
    ]),
  )

function* spansIn(body: Buffer): Generator<ExportedSpan> {
  for (const { resource, scope_spans: scopes } of requestDeserialize(body).resource_spans) {
    for (const span of scopes.flatMap(({ spans }) => spans)) {
      yield {
        traceId: span.trace_id.toString('hex'),
        spanId: span.span_id.toString('hex'),
        parentId: span.parent_span_id.toString('hex'),
        ...{ name: span.name, kind: span.kind },
        startMs: Number(span.start_time_unix_nano) / 1e6,
        endMs: Number(span.end_time_unix_nano) / 1e6,
        attributes: valuesOf(span.attributes),
        links: span.links.map((link) => ({
          traceId: link.trace_id.toString('hex'),
          spanId: link.span_id.toString('hex'),
        })),
        isError: span.status?.code === 2,
        resource: valuesOf(resource.attributes),
      }
    }
  }
}

async function take(
  request: IncomingMessage,
  response: ServerResponse,
  spans: ExportedSpan[],
): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  spans.push(...spansIn(Buffer.concat(chunks)))
  response.writeHead(200, { 'Content-Type': 'application/x-protobuf' }).end()
}

/** Starts a collector of traces (OTLP over HTTP, protobuf), and ends it with the test. */
export async function startOtlpSink(t: Test): Promise<OtlpSink> {
  const spans: ExportedSpan[] = []
  let exports = 0
  const server = createServer((request, response) => {
    exports++
    void take(request, response, spans)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const find = async (what: string, matches: (span: ExportedSpan) => boolean): Promise<ExportedSpan> => {
    await eventually(what, () => spans.some(matches))
    return spans.find(matches)!
  }
  return {
    ...{ url, spans, find },
    get exports() {
      return exports
    },
    environment: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '20' },
    childOf: (parent, name) =>
      find(`${name} below ${parent.name}`, (span) => span.parentId === parent.spanId && span.name === name),
    requestOf: (client) => find('the request', ({ parentId }) => parentId === client.spanId),
    namesOf: ({ traceId }) =>
      spans
        .filter((span) => span.traceId === traceId && span.name !== 'wait for admission')
        .map(({ name }) => name)
        .sort(),
  }
}

/** A client that is part of a trace. */
export interface TracedClient {
  readonly traceId: string
  readonly spanId: string
  readonly headers: { readonly traceparent: string }
}

export function tracedClient(isSampled = true): TracedClient {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
  return { traceId, spanId, headers: { traceparent: `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}` } }
}
