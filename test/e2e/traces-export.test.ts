import t, { type Test } from 'tap'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { spawnSync } from 'node:child_process'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { startOtlpSink, tracedClient } from '../support/otlp-sink.js'
import { makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Starts a collector that answers as told, or not at all. @returns its URL, and how many requests it has got */
async function startCollector(t: Test, answer: RequestListener) {
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests }
}

for (const [what, answer] of [
  ['hangs', () => {}],
  ['refuses', (_request, response) => response.writeHead(400).end()],
] satisfies [string, RequestListener][]) {
  t.test(`a collector that ${what} slows nothing, and does not hold up the end`, async (t) => {
    const collector = await startCollector(t, answer)
    const root = tempDir(t)
    makeRepository(root, 'r.git')
    const sidecar = await startSidecar(t, root, {
      args: ['--traces', 'otlp'],
      environment: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_BSP_SCHEDULE_DELAY: '20',
        OTEL_BSP_MAX_QUEUE_SIZE: '16',
        // The SDK itself would wait that long.
        OTEL_EXPORTER_OTLP_TIMEOUT: '60000',
        OTEL_BSP_EXPORT_TIMEOUT: '60000',
      },
    })
    const url = infoRefs(sidecar.url, 'r.git')
    await ask(url)
    await eventually('it was asked', () => collector.requests() > 0)
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(url)))
    t.ok(answers.every(({ status }) => status === 200))
    if (what === 'refuses') {
      const said = () =>
        sidecar.log.filter(({ msg }) => String(msg).startsWith('traces could not be exported'))
      await eventually('that is logged', () => said().length > 0)
      t.equal(said().length, 1, 'once, not for each batch')
    }
    const began = performance.now()
    t.equal(await sidecar.stop(), 0)
    t.ok(performance.now() - began < 20_000, 'long before the SDK would give up, also on a busy machine')
  })
}

t.test('what a sidecar has not exported yet is exported when it ends', async (t) => {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const environment = { ...sink.environment, OTEL_BSP_SCHEDULE_DELAY: '3600000' }
  const sidecar = await startSidecar(t, root, { args: ['--traces', 'otlp'], environment })
  await ask(infoRefs(sidecar.url, 'r.git'))
  t.equal(sink.exports, 0)
  t.equal(await sidecar.stop(), 0)
  t.ok(sink.spans.some(({ name }) => name.startsWith('git ')))
})

t.test('no credential and no query is in a span, and the authorizer is part of the trace', async (t) => {
  const sink = await startOtlpSink(t)
  const asked: (string | undefined)[] = []
  const authorizer = await startCollector(t, (request, response) => {
    asked.push(request.headers['traceparent'] as string | undefined)
    response.writeHead(asked.length === 1 ? 200 : 403).end()
  })
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, {
    args: [
      '--traces',
      'otlp',
      '--auth-url',
      `${authorizer.url}/check?key=S3CRET`,
      '--auth-cache-seconds',
      '0',
    ],
    environment: sink.environment,
  })
  for (const status of [200, 403]) {
    const client = tracedClient()
    const answer = await ask(`${infoRefs(sidecar.url, 'r.git')}&private_token=S3CRET`, {
      headers: {
        ...client.headers,
        authorization: `Basic ${Buffer.from('S3CRET:S3CRET').toString('base64')}`,
        cookie: 'session=S3CRET',
      },
    })
    t.equal(answer.status, status)
    const request = await sink.requestOf(client)
    t.match(request, { isError: false, attributes: { 'http.response.status_code': status } })
    const question = await sink.childOf(request, 'GET authorizer')
    t.equal(asked.at(-1), `00-${client.traceId}-${question.spanId}-01`)
  }
  const encoded = Buffer.from('S3CRET:S3CRET').toString('base64')
  t.notMatch(JSON.stringify(sink.spans), 'S3CRET')
  t.notMatch(JSON.stringify(sink.spans), encoded)
})

t.test('variables that the SDK would ignore keep refstream from starting', async (t) => {
  const root = tempDir(t)
  const { status, stderr } = spawnSync(
    process.execPath,
    [program, 'serve', '--root', root, '--traces', 'otlp', '--listen', '127.0.0.1:0'],
    { env: { ...cleanEnvironment, OTEL_TRACES_SAMPLER: 'sometimes' }, encoding: 'utf8' },
  )
  t.equal(status, 2)
  t.match(stderr, '--traces: OTEL_TRACES_SAMPLER: "sometimes" is not one of always_on')
})
