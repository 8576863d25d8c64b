import t from 'tap'
import { once } from 'node:events'
import { connect, constants } from 'node:http2'
import { status, type ServiceError } from '@grpc/grpc-js'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { makeGitWrapper, plans, type GitWrapper } from '../support/git-wrapper.js'
import { codeOf, errorOf, GrpcClient, rawCall, rawCallOn, retrySeconds } from '../support/grpc-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

const service = 'refstream.v1.RefService'
const advertise = `/${service}/Advertise`
const request = { repository: 'r.git' }

interface Setup {
  readonly wrapper: GitWrapper
  readonly sidecar: SpawnedSidecar
  readonly client: GrpcClient
  readonly followers: (count: number) => Promise<void>
  readonly counted: (outcome: string, count: number) => Promise<void>
}

async function setUp(t: Test, refs: number, ...args: string[]): Promise<Setup> {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), refs)
  makeRepository(root, 'other.git')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, {
    args: ['--grpc', '127.0.0.1:0', '--git', wrapper.path, ...args],
  })
  const reaches = (name: string, labels: Record<string, string>) => (count: number) =>
    eventually(`${name} ${count}`, async () => (await sidecar.metric(name, labels)) === count)
  return {
    wrapper,
    sidecar,
    client: new GrpcClient(t, sidecar.grpcTarget, service),
    followers: reaches('refstream_followers', {}),
    counted: (outcome, count) => reaches('refstream_requests_total', { transport: 'grpc', outcome })(count),
  }
}

t.test('200 concurrent streams on a cold key share one process and get all bytes', async (t) => {
  const { wrapper, sidecar, client, followers } = await setUp(t, 2000)
  wrapper.plan(plans.pause(1000))
  const answers = Array.from({ length: 200 }, () => client.bytes('Advertise', request))
  await followers(200)
  wrapper.signal('go')
  const { body } = await ask(infoRefs(sidecar.url, 'r.git'))
  for (const bytes of await Promise.all(answers)) if (!bytes.equals(body)) t.fail('an answer differs')
  t.equal(wrapper.count('upload-pack'), 1)

  const listings = Array.from({ length: 200 }, () => client.all('ListRefs', request))
  const lengths = (await Promise.all(listings)).map((messages) => {
    return messages.flatMap(({ refs }) => refs as object[]).length
  })
  t.same(new Set(lengths), new Set([2003]))
  t.equal(wrapper.count('upload-pack'), 2)
})

t.test('a slow reader delays no other, keeps no process, and gets the whole answer in the end', async (t) => {
  const { wrapper, sidecar, client, followers } = await setUp(t, 30_000)
  const slow = rawCall(t, sidecar.grpcTarget, advertise, request)
  await followers(1)
  const fast = await client.bytes('Advertise', request)
  t.ok(fast.length > 1_500_000, 'another reader has the whole answer')
  await eventually(
    'the entry is committed',
    async () => (await sidecar.metric('refstream_store_entries')) === 1,
  )
  t.equal(await sidecar.metric('refstream_processes_running'), 0, 'Git has exited')
  t.equal(await sidecar.metric('refstream_followers'), 1, 'the slow reader still follows')
  let received = 0
  for await (const chunk of slow) received += (chunk as Buffer).length
  t.ok(received > fast.length && received < fast.length * 1.001, 'the bytes, and the heads of messages')
  t.equal(wrapper.count('upload-pack'), 1)
  await followers(0)
})

t.test('the memory that slow readers hold does not grow with the answers they asked for', async (t) => {
  const { sidecar, client, followers, counted } = await setUp(t, 30_000)
  await client.bytes('Advertise', request)
  const memory = (): Promise<number> => sidecar.metric('process_resident_memory_bytes')
  const before = await memory()
  const count = 100
  const slow = Array.from({ length: count }, () => rawCall(t, sidecar.grpcTarget, advertise, request))
  await followers(count)
  for (const stream of slow) await once(stream, 'readable')
  const each = ((await memory()) - before) / count
  t.ok(each < 500_000, `${each} bytes each, of 1.8 MB`)
  for (const stream of slow) stream.close(constants.NGHTTP2_CANCEL)
  await counted('aborted', count)
  await followers(0)
})

t.test(
  'a connection that reads nothing holds a bounded number of bytes, however many streams it opened',
  async (t) => {
    const { sidecar, client, followers } = await setUp(t, 30_000)
    await client.bytes('Advertise', request)
    const memory = (): Promise<number> => sidecar.metric('nodejs_external_memory_bytes')
    const before = await memory()
    const session = connect(`http://${sidecar.grpcTarget}`, { settings: { initialWindowSize: 0 } })
    t.teardown(() => session.destroy())
    await once(session, 'remoteSettings')
    session.setMaxListeners(0)
    const streams = Array.from({ length: 900 }, () => rawCallOn(t, session, advertise, request))
    // The head of an answer goes out with its first message.
    await Promise.all(streams.map((stream) => once(stream, 'response')))
    await followers(900)
    const held = (await memory()) - before
    t.ok(held < 30e6, `${held} bytes, not 64 KiB for each stream`)
  },
)

for (const [method, kind] of [
  ['Advertise', 'advertisement'],
  ['ListRefs', 'ls-refs'],
] as const) {
  t.test(`${method}: a client that cancels gets CANCELLED, and its follower ends`, async (t) => {
    const { wrapper, sidecar, client, followers, counted } = await setUp(t, 2000)
    wrapper.plan(plans.pause(1000))
    const leaver = client.stream(method, request)
    const error = once(leaver, 'error') as Promise<[ServiceError]>
    await eventually('Git runs', () => wrapper.hasFile('paused'))
    const stays = client.all(method, request)
    await eventually('both follow', async () => {
      return (await sidecar.metric('refstream_requests_under_way')) === 2
    })
    leaver.cancel()
    t.equal((await error)[0].code, status.CANCELLED)
    await counted('aborted', method === 'Advertise' ? 1 : 0)
    await eventually('one follower is left', async () => {
      return (await sidecar.metric('refstream_requests_under_way')) === 1
    })
    wrapper.signal('go')
    t.ok((await stays).length > 1, 'the other is served')
    t.equal(wrapper.count('upload-pack'), 1)
    await followers(0)
    await counted('aborted', 1)
    t.equal(await sidecar.metric('refstream_requests_total', { kind, outcome: 'error' }), 0)
  })

  t.test(`${method}: a deadline ends the wait, not the fill`, async (t) => {
    const { wrapper, sidecar, client, followers } = await setUp(t, 2000)
    wrapper.plan(plans.pause(1000))
    // A longer deadline each time, until the fill has begun before it passes.
    for (let ms = 300; !wrapper.hasFile('paused'); ms *= 2) {
      const late = codeOf(client.all(method, request, { deadline: Date.now() + ms }))
      t.equal(await late, 'DEADLINE_EXCEEDED')
    }
    await eventually('its place is free again', async () => {
      return (await sidecar.metric('refstream_requests_under_way')) === 0
    })
    const next = client.all(method, request)
    wrapper.signal('go')
    t.ok((await next).length > 1)
    t.equal(wrapper.count('upload-pack'), 1, 'the fill went on for later requests')
    await eventually('it is counted', async () => {
      return (await sidecar.metric('refstream_requests_total', { transport: 'grpc', outcome: 'aborted' })) > 0
    })
    await followers(0)
  })

  t.test(`${method}: an answer that cannot be finished ends in UNAVAILABLE, never in OK`, async (t) => {
    for (const plan of [plans.dieAfter(100_000), plans.cutAfter(100_000), plans.dieAfter(0)]) {
      const { wrapper, client } = await setUp(t, 5000, '--fill-retries', '0')
      wrapper.plan(plan)
      const answers = await Promise.all(Array.from({ length: 5 }, () => codeOf(client.all(method, request))))
      t.same(new Set(answers), new Set(['UNAVAILABLE']))
    }
  })
}

t.test(
  'an uncached answer that cannot be finished ends in an error too, and its process ends with its client',
  async (t) => {
    const { wrapper, sidecar, client } = await setUp(t, 5000)
    const own = { ...request, configOptions: ['uploadpack.allowFilter'] }
    for (const plan of [plans.dieAfter(100_000), plans.cutAfter(100_000)]) {
      wrapper.plan(plan)
      t.equal(await codeOf(client.all('Advertise', own)), 'UNAVAILABLE')
    }
    wrapper.plan(plans.hangAfter(1000))
    const leaver = client.stream('Advertise', own).on('error', () => {})
    await eventually('Git hangs', () => wrapper.hasFile('hanging'))
    t.equal(await sidecar.metric('refstream_process_permits_held', { class: 'pass' }), 1)
    leaver.cancel()
    const running = (): Promise<number> => sidecar.metric('refstream_processes_running')
    await eventually('the process has ended', async () => (await running()) === 0)
  },
)

t.test('a key whose fills keep failing: UNAVAILABLE with the time of the next try', async (t) => {
  const { wrapper, client } = await setUp(t, 10, '--fill-retries', '0')
  wrapper.plan(plans.dieAfter(0))
  let seconds: number | undefined
  await eventually('the key backs off', async () => {
    const error = await errorOf(client.all('Advertise', request))
    t.equal(error.code, status.UNAVAILABLE)
    seconds = retrySeconds(error)
    return seconds !== undefined
  })
  t.ok(seconds! > 0 && seconds! <= 60)
})

t.test(
  '--max-requests holds for both transports together; one more call gets RESOURCE_EXHAUSTED and a retry delay',
  async (t) => {
    const { wrapper, sidecar, client, counted } = await setUp(t, 10, '--max-requests', '2')
    wrapper.plan(plans.wait)
    const inside = [client.all('Advertise', request), ask(infoRefs(sidecar.url, 'r.git'))]
    await eventually(
      'the limit is reached',
      async () => (await sidecar.metric('refstream_requests_under_way')) === 2,
    )
    const error = await errorOf(client.all('ListRefs', request))
    t.equal(error.code, status.RESOURCE_EXHAUSTED)
    t.equal(retrySeconds(error), 1)
    t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 429)
    await counted('shed', 1)
    wrapper.signal('go')
    await Promise.all(inside)
  },
)

t.test('a call that gets no permit in time ends in RESOURCE_EXHAUSTED', async (t) => {
  const limits = ['--max-processes', '3', '--queue-wait-seconds', '0.2']
  const { wrapper, sidecar, client } = await setUp(t, 10, ...limits)
  wrapper.plan(plans.wait)
  const first = client.all('Advertise', request)
  const running = (): Promise<number> => sidecar.metric('refstream_process_permits_held', { class: 'fill' })
  await eventually('it runs', async () => (await running()) === 1)
  const error = await errorOf(client.all('Advertise', { repository: 'other.git' }))
  t.equal(error.code, status.RESOURCE_EXHAUSTED)
  t.ok(retrySeconds(error)! >= 1)
  wrapper.signal('go')
  t.equal((await first).length > 0, true)
})

t.test('a client that reads nothing is disconnected', async (t) => {
  const { sidecar, followers, counted } = await setUp(t, 30_000, '--client-idle-seconds', '0.4')
  const idle = rawCall(t, sidecar.grpcTarget, advertise, request)
  await once(idle, 'readable')
  await eventually('it is disconnected', () => idle.closed)
  t.equal(idle.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  t.equal(await sidecar.metric('refstream_clients_cut_total', { reason: 'idle' }), 1)
  await counted('aborted', 1)
  await followers(0)
})

t.test('a deadline that passes while the client reads nothing still ends the follower', async (t) => {
  const { sidecar, client, followers, counted } = await setUp(t, 30_000)
  await client.bytes('Advertise', request)
  const idle = rawCall(t, sidecar.grpcTarget, advertise, request, { 'grpc-timeout': '2000m' })
  await once(idle, 'readable')
  await counted('aborted', 1)
  await followers(0)
  t.equal(idle.closed, false, 'the client has not closed the stream itself')
})

t.test('a deadline weeks away does not pass at once', async (t) => {
  const { sidecar } = await setUp(t, 10)
  // 2^32 milliseconds are 1193 hours; taken modulo 2^32, the third deadline would be 704 milliseconds away.
  for (const timeout of ['596H', '597H', '4294968S', '71583M', '1000H', '99999999H']) {
    const stream = rawCall(t, sidecar.grpcTarget, advertise, request, { 'grpc-timeout': timeout })
    const trailers = once(stream, 'trailers')
    stream.resume()
    t.equal(((await trailers) as { 'grpc-status'?: string }[])[0]?.['grpc-status'], '0', timeout)
  }
})

t.test('shutdown: calls under way are finished before the exit', async (t) => {
  const { wrapper, sidecar, client } = await setUp(t, 2000)
  wrapper.plan(plans.pause(1000))
  const answer = client.bytes('Advertise', request)
  await eventually('Git runs', () => wrapper.hasFile('paused'))
  const exit = sidecar.stop()
  await eventually('new calls are refused', async () => {
    const newcomer = new GrpcClient(t, sidecar.grpcTarget, service)
    return (await codeOf(newcomer.all('Advertise', request))) === 'UNAVAILABLE'
  })
  wrapper.signal('go')
  t.match((await answer).subarray(-4).toString(), '0000')
  t.equal(await exit, 0)
})

t.test('shutdown: a call that does not finish in time is ended, and not with OK', async (t) => {
  const { wrapper, sidecar, client } = await setUp(t, 2000, '--drain-seconds', '0.2')
  wrapper.plan(plans.pause(1000))
  const code = codeOf(client.bytes('Advertise', request))
  await eventually('Git runs', () => wrapper.hasFile('paused'))
  t.equal(await sidecar.stop(), 0)
  t.ok(await code)
})

t.test('shutdown does not wait for connections without calls', async (t) => {
  const { sidecar, client } = await setUp(t, 10)
  await client.bytes('Advertise', request)
  t.equal(await sidecar.stop(), 0)
})
