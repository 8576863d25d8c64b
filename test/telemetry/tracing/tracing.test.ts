import t from 'tap'
import {
  InMemorySpanExporter,
  BasicTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base'
import { Tracing, type TracedRequest } from '../../../src/telemetry/tracing/tracing.js'
import { tracedClient } from '../../support/otlp-sink.js'

function setUp() {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const tracing = new Tracing({ tracer: provider.getTracer('test'), trace2: undefined })
  const spans = (): ReadableSpan[] => exporter.getFinishedSpans()
  const named = (name: string): ReadableSpan => spans().find((span) => span.name === name)!
  return { tracing, spans, named }
}

const newRequest = (): TracedRequest => ({ method: 'GET', trace: undefined })
const ended = { spanName: 'ended', attributes: { 'a.b': 1 }, errorType: undefined }
const idOf = (span: ReadableSpan): string => span.spanContext().spanId

t.test('work is below the request that it is for, also after waits', async (t) => {
  const { tracing, named } = setUp()
  const client = tracedClient()
  const request = newRequest()
  const result = await tracing.serve(
    request,
    client.headers,
    async (one, two) => {
      await Promise.resolve()
      t.equal(tracing.ids?.trace_id, client.traceId)
      await tracing.span('observe', { x: 1 }, async () => {
        await Promise.resolve()
        tracing.span('inner', {}, () => {})
      })
      await t.rejects(tracing.span('failed', {}, () => Promise.reject(new TypeError('S3CRET'))))
      t.throws(() =>
        tracing.span('thrown', {}, () => {
          throw new Error('S3CRET')
        }),
      )
      return [one, two]
    },
    1,
    2,
  )
  t.same(result, [1, 2])
  request.trace?.end(ended)
  t.equal(named('ended').parentSpanContext?.spanId, client.spanId)
  t.equal(named('observe').parentSpanContext?.spanId, idOf(named('ended')))
  t.equal(named('inner').parentSpanContext?.spanId, idOf(named('observe')))
  t.match(named('failed'), { status: { code: 2 }, attributes: { 'error.type': 'TypeError' } })
  t.match(named('thrown'), { status: { code: 2 } })
  t.equal(named('failed').status.message, undefined)
  t.equal(tracing.present, undefined, 'nothing is under way here')
})

t.test('a request that is not sampled has no spans, and its headers go on', async (t) => {
  const { tracing, spans } = setUp()
  const client = tracedClient(false)
  const request = newRequest()
  await tracing.serve(request, client.headers, async () => {
    t.equal(tracing.ids, undefined)
    t.equal(tracing.process('upload-pack', {}, false), undefined)
    await tracing.client('GET upstream', {}, async ({ traceparent }, span) => {
      t.match(traceparent, new RegExp(`^00-${client.traceId}-[0-9a-f]{16}-00$`))
      t.equal(span, undefined)
    })
    const fill = tracing.fill(tracing.present, 'pack')
    fill.makes({})
    fill.end('committed', 1)
    t.equal((await tracing.waiting(async () => ({ entry: {}, reuse: 'filled' }))).reuse, 'filled')
  })
  t.equal(request.trace, undefined)
  t.same(spans(), [])
  t.same(tracing.headers, {}, 'without a request there is no trace')
})

t.test('a fill belongs to its own request, whoever goes on with it', async (t) => {
  const { tracing, named } = setUp()
  const [starter, other] = [newRequest(), newRequest()]
  const scope = tracing.serve(starter, {}, () => tracing.present)
  const entry = { length: 5 }
  await tracing.serve(other, {}, async () => {
    const fill = tracing.fill(scope, 'listing')
    fill.makes(entry)
    async function* produce() {
      tracing.span('first', {}, () => {})
      yield 1
      tracing.span('second', {}, () => {})
      yield 2
    }
    // Each step is asked for by other code.
    for await (const _ of fill.producing(produce)(new AbortController().signal))
      t.equal(tracing.present, other.trace?.scope)
    fill.endsWith(entry, Promise.resolve('committed'))
    await Promise.resolve()
    const reading = await tracing.waiting(() => ({ entry, reuse: 'joined' }))
    t.equal(reading.entry, entry)
    other.trace?.firstByte()
  })
  const [fill, wait] = [named('fill'), named('wait for fill')]
  for (const name of ['first', 'second']) t.equal(named(name).parentSpanContext?.spanId, idOf(fill), name)
  t.equal(fill.parentSpanContext?.spanId, starter.trace?.ids.span_id)
  t.match(fill.attributes, { 'refstream.fill.result': 'committed', 'refstream.fill.bytes': 5 })
  t.equal(wait.parentSpanContext?.spanId, other.trace?.ids.span_id)
  t.same(
    wait.links.map(({ context }) => context.spanId),
    [idOf(fill)],
  )
})

t.test('a wait ends with the first byte, with its error, or with the request', async (t) => {
  const { tracing, spans, named } = setUp()
  const request = newRequest()
  await tracing.serve(request, {}, async () => {
    await tracing.waiting(() => ({ entry: {}, reuse: 'hit' }))
    t.rejects(
      tracing.waiting(() => Promise.reject(Object.assign(new Error(), { code: 'ENOENT' }))) as Promise<never>,
    )
    await new Promise(setImmediate)
    t.match(named('wait for fill'), { attributes: { 'error.type': 'ENOENT' } })
    t.equal(spans().length, 1, 'a hit is no wait')
    await tracing.waiting(() => ({ entry: {}, reuse: 'filled' }))
    t.equal(spans().length, 1)
  })
  request.trace?.end({ ...ended, errorType: '503' })
  t.equal(spans().length, 3)
  t.match(named('ended'), { status: { code: 2 }, attributes: { 'a.b': 1, 'error.type': '503' } })
})

t.test('an owed refresh is a trace of its own', async (t) => {
  const { tracing, named } = setUp()
  const request = newRequest()
  const scope = tracing.serve(request, {}, () => tracing.present)
  tracing.fill(scope, 'listing', true).end('whole', 1)
  const fill = named('fill')
  t.equal(fill.parentSpanContext, undefined)
  t.not(fill.spanContext().traceId, request.trace?.ids.trace_id)
  t.equal(fill.links[0]?.context.spanId, request.trace?.ids.span_id)
})

t.test('the span of a process has its exit code', async (t) => {
  const { tracing, spans } = setUp()
  await tracing.serve(newRequest(), {}, async () => {
    for (const [code, wasAsked] of [
      [0, false],
      [128, false],
      [undefined, false],
      [undefined, true],
    ] as const) {
      const process = tracing.process('upload-pack', {}, false)
      t.same(process?.environment, {}, 'there is no place for a trace of its own')
      await process?.ended({ code }, wasAsked)
    }
  })
  t.same(
    spans().map(({ name, attributes, status }) => [name, attributes['process.exit.code'], status.code]),
    [
      ['git upload-pack', 0, 0],
      ['git upload-pack', 128, 2],
      ['git upload-pack', undefined, 2],
      ['git upload-pack', undefined, 0],
    ],
  )
})
