import t from 'tap'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { GrpcClient } from '../support/grpc-client.js'
import { infoRefs } from '../support/http-client.js'
import { startOtlpSink, tracedClient, type TracedClient } from '../support/otlp-sink.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { workersOf } from '../support/worker-processes.js'
import { connectToEach } from '../support/workers.js'

t.test('a clone through another refstream is one trace of two processes', async (t) => {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  for (const name of ['r.git', 'other.git']) makeRepository(root, name)
  const options = { args: ['--traces', 'otlp'], environment: sink.environment }
  const above = await startSidecar(t, root, options)
  const below = await startSidecar(t, undefined, {
    ...options,
    args: [...options.args, '--upstream', above.url],
  })
  const clone = (client: TracedClient, name: string): void => {
    const header = `http.extraHeader=traceparent: ${client.headers.traceparent}`
    git(root, '-c', header, 'clone', '--quiet', `${below.url}/${name}`, join(tempDir(t), 'clone'))
  }
  const unsampled = tracedClient(false)
  clone(unsampled, 'other.git')
  const client = tracedClient()
  clone(client, 'r.git')
  const request = await sink.find(
    'the pack',
    ({ parentId, attributes }) =>
      parentId === client.spanId && attributes['refstream.request.kind'] === 'upload-pack',
  )
  const fill = await sink.childOf(request, 'fill')
  const question = await sink.childOf(fill, 'POST upstream')
  t.match(question, {
    kind: 3,
    attributes: {
      'http.response.status_code': 200,
      'server.address': '127.0.0.1',
      'url.full': `${above.url}/r.git/git-upload-pack`,
    },
  })
  const answer = await sink.childOf(question, 'POST /{repository}/git-upload-pack')
  t.equal(answer.traceId, client.traceId)
  t.not(
    answer.resource['service.instance.id'],
    request.resource['service.instance.id'],
    'each process has a name of its own',
  )
  const wait = await sink.childOf(request, 'wait for fill')
  t.same(wait.links, [{ traceId: client.traceId, spanId: fill.spanId }])
  const listing = await sink.find(
    'the listing',
    ({ parentId, attributes }) =>
      parentId === client.spanId && attributes['refstream.request.kind'] === 'ls-refs',
  )
  const asked = await sink.childOf(listing, 'fill')
  t.match(asked.attributes, { 'refstream.fill.kind': 'listing', 'refstream.fill.result': 'whole' })
  await sink.childOf(asked, 'POST upstream')
  t.same(sink.namesOf(unsampled), [], 'what is not sampled below is not sampled above')
  t.notMatch(JSON.stringify(sink.spans), /\?service/, 'no query is told')
  const traces = new Set(sink.spans.map(({ traceId }) => traceId))
  t.same([...traces], [client.traceId])
})

t.test('a fill that another worker makes is part of the trace there too', async (t) => {
  if (process.platform !== 'linux') return t.comment('the test reads /proc')
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  wrapper.plan('while [ ! -f "$dir/go" ]; do sleep 0.02; done')
  const sidecar = await startSidecar(t, root, {
    args: ['--traces', 'otlp', '--workers', '2', '--git', wrapper.path],
    environment: { ...sink.environment, OTEL_RESOURCE_ATTRIBUTES: 'service.instance.id=node-7' },
  })
  const path = infoRefs('', 'r.git')
  const [one, other] = await connectToEach(t, sidecar.url, workersOf(sidecar.pid))
  const [first, second] = [tracedClient(), tracedClient()]
  const answers = [one(path, { headers: first.headers })]
  await eventually('Git runs', () => wrapper.runs().length === 1)
  answers.push(other(path, { headers: second.headers }))
  await eventually('both wait', async () => (await sidecar.metric('refstream_followers')) === 3)
  wrapper.signal('go')
  for (const { status } of await Promise.all(answers)) t.equal(status, 200)
  t.equal(wrapper.runs().length, 1)

  const fill = await sink.childOf(await sink.requestOf(first), 'fill')
  const borrowed = await sink.childOf(await sink.requestOf(second), 'fill')
  const question = await sink.find(
    'the question',
    ({ parentId, kind }) => parentId === borrowed.spanId && kind === 3,
  )
  const answer = await sink.find('its answer', ({ parentId }) => parentId === question.spanId)
  t.match(
    [question, answer],
    [
      { name: 'peer', kind: 3 },
      { name: 'peer', kind: 2, traceId: second.traceId },
    ],
  )
  const wait = await sink.childOf(answer, 'wait for fill')
  t.same(
    wait.links,
    [{ traceId: first.traceId, spanId: fill.spanId }],
    'the other worker follows the fill of the first',
  )
  t.same([...new Set(sink.spans.map(({ resource }) => resource['service.instance.id']))].sort(), [
    'node-7-w1',
    'node-7-w2',
  ])
})

t.test('a gRPC call is part of the trace that its metadata names', async (t) => {
  const sink = await startOtlpSink(t)
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, {
    args: ['--traces', 'otlp', '--grpc', '127.0.0.1:0'],
    environment: sink.environment,
  })
  const [found, missing] = [tracedClient(), tracedClient()]
  const call = async ({ headers: metadata }: TracedClient, repository: string): Promise<unknown> =>
    new GrpcClient(t, sidecar.grpcTarget, 'refstream.v1.RefService', {}, { metadata: { ...metadata } }).all(
      'ListRefs',
      { repository },
    )
  await call(found, 'r.git')
  await t.rejects(call(missing, 'none.git'))
  const request = await sink.requestOf(found)
  t.match(request, {
    name: 'refstream.v1.RefService/ListRefs',
    attributes: { 'rpc.system': 'grpc', 'rpc.grpc.status_code': 0, 'refstream.outcome': 'filled' },
  })
  await sink.childOf(await sink.childOf(request, 'fill'), 'git upload-pack')
  t.match(await sink.requestOf(missing), { isError: false, attributes: { 'rpc.grpc.status_code': 5 } })
})
