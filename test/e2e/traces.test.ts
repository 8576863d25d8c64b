import t from 'tap'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { startOtlpSink, traceparent } from '../support/otlp-sink.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a clone is one trace, from the request to what Git itself tells of its work', async (t) => {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, {
    args: ['--traces', 'otlp', '--access-log', 'all'],
    environment: sink.environment,
  })
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
  const header = `http.extraHeader=traceparent: ${traceparent(traceId, spanId)}`
  git(root, '-c', header, 'clone', '--quiet', `${sidecar.url}/r.git`, join(tempDir(t), 'clone'))

  const request = await sink.find(
    'the pack',
    ({ attributes }) => attributes['refstream.request.kind'] === 'upload-pack',
  )
  t.match(request, {
    name: 'POST /{repository}/git-upload-pack',
    kind: 2,
    traceId,
    parentId: spanId,
    isError: false,
    attributes: {
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'url.path': '/r.git/git-upload-pack',
      'refstream.repository': 'r.git',
      'refstream.outcome': 'filled',
    },
    resource: {
      'service.name': 'refstream',
      'service.version': /^\d/,
      'service.instance.id': /^[\da-f-]{36}$/,
    },
  })
  await sink.childOf(request, 'observe')
  const wait = await sink.childOf(request, 'wait')
  const fill = await sink.childOf(request, 'fill')
  t.same(wait.links, [{ traceId, spanId: fill.spanId }])
  t.match(wait.attributes, { 'refstream.wait.for': 'fill', 'refstream.reuse': 'filled' })
  t.match(fill.attributes, { 'refstream.fill.kind': 'pack', 'refstream.fill.result': /committed|unstored/ })
  const process = await sink.childOf(fill, 'git upload-pack')
  t.match(process.attributes, { 'process.exit.code': 0, 'refstream.git.command': 'upload-pack' })
  const child = await sink.childOf(process, 'git pack-objects')
  t.match(child.attributes, { 'process.exit.code': 0 })
  const region = await sink.childOf(child, 'pack-objects/enumerate-objects')
  for (const [outer, inner] of [
    [process, child],
    [child, region],
  ] as const) {
    // Two clocks read the time: OpenTelemetry's has whole milliseconds at the start of a span.
    t.ok(inner.startMs >= outer.startMs - 1.5 && inner.endMs <= outer.endMs + 1.5, `${inner.name} is inside`)
  }
  t.ok(
    sink.spans.every((span) => span.traceId === traceId),
    'all requests of the clone are parts of the client’s trace',
  )
  const ids = new Set([spanId, ...sink.spans.map((span) => span.spanId)])
  t.same(
    sink.spans.filter((span) => !ids.has(span.parentId)).map(({ name }) => name),
    [],
    'each span has its parent in the trace',
  )
  const line = sidecar.log.find(
    (each) =>
      each['url.path'] === '/r.git/git-upload-pack' && each['refstream.request.kind'] === 'upload-pack',
  )
  t.match(line, { trace_id: traceId, span_id: request.spanId })
})
