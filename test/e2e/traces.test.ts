import t, { type Test } from 'tap'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { startOtlpSink, tracedClient } from '../support/otlp-sink.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const waitForGo = 'while [ ! -f "$dir/go" ]; do sleep 0.02; done'

/** Starts a sidecar that is traced, and whose Git waits for the signal `go`. */
async function startWaiting(t: Test) {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  wrapper.plan(waitForGo)
  const sidecar = await startSidecar(t, root, {
    args: ['--traces', 'otlp', '--git', wrapper.path],
    environment: sink.environment,
  })
  return { sink, repository, wrapper, sidecar, url: infoRefs(sidecar.url, 'r.git') }
}

t.test('a clone is one trace, from the request to what Git itself tells of its work', async (t) => {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, {
    args: ['--traces', 'otlp', '--access-log', 'all'],
    environment: sink.environment,
  })
  const { traceId, spanId, headers } = tracedClient()
  const header = `http.extraHeader=traceparent: ${headers.traceparent}`
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
      'http.route': '/{repository}/git-upload-pack',
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
  const wait = await sink.childOf(request, 'wait for fill')
  const fill = await sink.childOf(request, 'fill')
  t.same(wait.links, [{ traceId, spanId: fill.spanId }])
  t.match(wait.attributes, { 'refstream.reuse': 'filled' })
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

t.test(
  'all that wait for one fill are linked to it, and it is part of the trace that began it',
  async (t) => {
    const { sink, wrapper, sidecar, url } = await startWaiting(t)
    const [first, second, unsampled] = [tracedClient(), tracedClient(), tracedClient(false)]
    const answers = [ask(url, { headers: first.headers })]
    await eventually('Git runs', () => wrapper.runs().length === 1)
    answers.push(ask(url, { headers: second.headers }), ask(url, { headers: unsampled.headers }))
    await eventually('all wait', async () => (await sidecar.metric('refstream_followers')) === 3)
    wrapper.signal('go')
    for (const { status } of await Promise.all(answers)) t.equal(status, 200)

    const fill = await sink.childOf(await sink.requestOf(first), 'fill')
    await sink.childOf(fill, 'git upload-pack')
    const link = { traceId: first.traceId, spanId: fill.spanId }
    const waits = await Promise.all(
      [first, second].map(async (client) => sink.childOf(await sink.requestOf(client), 'wait for fill')),
    )
    t.same(
      waits.map(({ links }) => links),
      [[link], [link]],
    )
    t.same(
      waits.map(({ attributes }) => attributes['refstream.reuse']),
      ['filled', 'joined'],
    )
    t.same(sink.namesOf(second), ['GET /{repository}/info/refs', 'observe', 'wait for fill'])
    t.same(sink.namesOf(unsampled), [])

    const hit = tracedClient()
    t.equal((await ask(url, { headers: hit.headers })).status, 200)
    await sink.requestOf(hit)
    t.same(sink.namesOf(hit), ['GET /{repository}/info/refs', 'observe'], 'a hit waits for nothing')
  },
)

t.test(
  'a fill that was gathered for is part of the trace that gathered first, not of the one before',
  async (t) => {
    const { sink, repository, wrapper, sidecar, url } = await startWaiting(t)
    const [before, gatherer] = [tracedClient(), tracedClient()]
    const answers = [ask(url, { headers: before.headers })]
    await eventually('Git runs', () => wrapper.runs().length === 1)
    git(repository, 'branch', 'other', 'HEAD')
    // Until then the time of the change cannot be trusted, and a request would observe twice.
    await sleep(100)
    const observations = (): Promise<number> => sidecar.metric('refstream_observations_total')
    const soFar = await observations()
    answers.push(ask(url, { headers: gatherer.headers }))
    await eventually('it has seen the change', async () => (await observations()) > soFar)
    wrapper.signal('go')
    for (const { status } of await Promise.all(answers)) t.equal(status, 200)
    const request = await sink.requestOf(gatherer)
    const fill = await sink.childOf(request, 'fill')
    const wait = await sink.childOf(request, 'wait for fill')
    t.equal(wait.attributes['refstream.reuse'], 'gathered')
    t.same(wait.links, [{ traceId: gatherer.traceId, spanId: fill.spanId }])
    await sink.childOf(fill, 'git upload-pack')
    t.equal(sink.namesOf(before).filter((name) => name.startsWith('git')).length, 1)
  },
)

t.test('Git is asked for its own trace only if the request is sampled', async (t) => {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  wrapper.plan('echo "[$GIT_TRACE2_EVENT]" >> "$dir/asked"')
  const temporary = tempDir(t)
  const sidecar = await startSidecar(t, root, {
    args: ['--traces', 'otlp', '--git', wrapper.path],
    environment: { ...sink.environment, TMPDIR: temporary },
  })
  await ask(infoRefs(sidecar.url, 'r.git'), { headers: tracedClient(false).headers })
  t.equal(wrapper.read('asked'), '[]\n')
  const client = tracedClient()
  const service = 'git-upload-archive'
  wrapper.plan('echo "[$GIT_TRACE2_EVENT]" >> "$dir/asked"', 'http-backend')
  await ask(infoRefs(sidecar.url, 'r.git', service), { headers: client.headers })
  await sink.childOf(await sink.requestOf(client), 'git http-backend')
  t.match(
    wrapper.read('asked'),
    new RegExp(`^\\[\\]\n\\[${temporary}/refstream-trace2-[^/]+/[0-9a-f]{16}/events\\]\n$`),
  )
  t.equal(await sidecar.stop(), 0)
  t.same(readdirSync(temporary), [], 'nothing is left')
})

t.test('a push is traced down to the hooks that Git runs', async (t) => {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'http.receivepack', 'true')
  const hook = join(repository, 'hooks', 'pre-receive')
  mkdirSync(join(repository, 'hooks'), { recursive: true })
  writeFileSync(hook, '#!/bin/sh\ncat >/dev/null\nexit 1\n', { mode: 0o755 })
  const sidecar = await startSidecar(t, root, {
    args: ['--traces', 'otlp'],
    environment: sink.environment,
  })
  const clone = join(tempDir(t), 'clone')
  git(root, 'clone', '--quiet', repository, clone)
  const client = tracedClient()
  const header = `http.extraHeader=traceparent: ${client.headers.traceparent}`
  t.throws(() => git(clone, '-c', header, 'push', '--quiet', `${sidecar.url}/r.git`, 'HEAD:refs/heads/new'))
  const request = await sink.find(
    'the push',
    ({ attributes }) => attributes['refstream.request.kind'] === 'receive-pack',
  )
  await sink.childOf(request, 'wait for permit')
  const backend = await sink.childOf(request, 'git http-backend')
  const receive = await sink.childOf(backend, 'git receive-pack')
  t.match(await sink.childOf(receive, 'hook/pre-receive'), {
    isError: true,
    attributes: { 'process.exit.code': 1 },
  })
})
