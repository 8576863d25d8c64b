import t from 'tap'
import { makeRepository } from '../support/repositories.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans, type GitWrapper } from '../support/git-wrapper.js'
import { ask, connect, infoRefs, type Answer } from '../support/http-client.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

interface Setup {
  readonly wrapper: GitWrapper
  readonly sidecar: SpawnedSidecar
  /** Requests what is passed through to Git. */
  readonly passThrough: (repository: string) => Promise<Answer>
  /** Resolves when so many requests wait in the queue of a class. */
  readonly waiting: (permitClass: 'fill' | 'pass', count: number) => Promise<void>
  readonly running: (permitClass: 'fill' | 'pass', count: number) => Promise<void>
}

/** A sidecar whose Git waits for the file `go` before it answers. */
async function setUp(t: Test, repositories: readonly string[], ...args: string[]): Promise<Setup> {
  const root = tempDir(t)
  for (const name of repositories) makeRepository(root, `${name}.git`)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, {
    args: ['--git', wrapper.path, '--queue-wait-seconds', '600', ...args],
  })
  const gauge = (name: string) => (permitClass: string, count: number) =>
    eventually(
      `${name}: ${count}`,
      async () => (await sidecar.metric(name, { class: permitClass })) === count,
    )
  return {
    wrapper,
    sidecar,
    passThrough: (repository) => ask(`${sidecar.url}/${repository}.git/HEAD`),
    waiting: gauge('refstream_process_permits_waiting'),
    running: gauge('refstream_process_permits_held'),
  }
}

t.test('the limits on concurrent processes hold, in total and per repository', async (t) => {
  const names = ['a', 'b', 'c', 'd']
  const each = ['--max-fills-per-repository', '1', '--max-pass-through-per-repository', '2']
  const setup = await setUp(t, names, '--max-processes', '7', ...each)
  const { wrapper, sidecar, passThrough, running } = setup
  wrapper.plan(plans.wait)
  wrapper.plan(plans.wait, 'http-backend')
  const answers = names.flatMap((name) => [
    ...[0, 1].map((version) =>
      ask(infoRefs(sidecar.url, `${name}.git`), { headers: { 'Git-Protocol': `version=${version}` } }),
    ),
    ...[1, 2, 3, 4].map(() => passThrough(name)),
  ])
  const sum = (name: string, count: number): Promise<void> =>
    eventually(`${name}: ${count}`, async () => (await sidecar.metric(name)) === count)
  // One of the seven permits is reserved for packs.
  await sum('refstream_processes_running', 6)
  await sum('refstream_process_permits_waiting', answers.length - 6)
  wrapper.signal('go')
  for (const { status } of await Promise.all(answers)) t.equal(status, 200)
  t.equal(
    wrapper.mostAtOnce(() => 'all'),
    6,
  )
  const most = (command: string): number =>
    wrapper.mostAtOnce((run) => (run.command === command ? run.repository : undefined))
  t.equal(most('upload-pack'), 1)
  t.equal(most('http-backend'), 2)
  await running('fill', 0)
  await running('pass', 0)
})

t.test('a busy repository does not starve another: permits are given round robin', async (t) => {
  // One permit for each class, so that their order is known.
  const { wrapper, passThrough, waiting, running } = await setUp(t, ['hot', 'cold'], '--max-processes', '3')
  wrapper.plan(plans.wait, 'http-backend')
  const hot = [passThrough('hot')]
  await running('pass', 1)
  for (let count = 1; count <= 20; count++) hot.push(passThrough('hot'))
  await waiting('pass', 20)
  const cold = passThrough('cold')
  await waiting('pass', 21)
  wrapper.signal('go')
  for (const { status } of await Promise.all([...hot, cold])) t.equal(status, 200)
  const order = wrapper.runs().map(({ repository }) => repository.endsWith('/cold.git'))
  t.equal(order.indexOf(true), 2, 'the running one, one that waited before, then the other repository’s')
})

for (const [status, ...args] of [[429], [503, '--shed-status', '503']] as [number, ...string[]][]) {
  t.test(`a full queue answers ${status} with Retry-After and starts no process`, async (t) => {
    const limits = ['--max-processes', '3', '--queue-max', '2']
    const setup = await setUp(t, ['a', 'b', 'c'], ...limits, ...args)
    const { wrapper, sidecar, passThrough, waiting, running } = setup
    wrapper.plan(plans.wait, 'http-backend')
    const queued = [passThrough('a')]
    await running('pass', 1)
    // A repository may take half of the free places.
    queued.push(passThrough('a'), passThrough('b'))
    await waiting('pass', 2)
    const socket = connect(sidecar.url)
    const request = 'GET /c.git/HEAD HTTP/1.1\r\nHost: x\r\n\r\n'
    socket.setEncoding('latin1')
    let said = ''
    socket.on('data', (text: string) => (said += text))
    for (const count of [1, 2]) {
      socket.write(request)
      await eventually('the answers say so', () => said.split('try again later\n').length === count + 1)
    }
    t.match(said, new RegExp(`^HTTP/1.1 ${status} `))
    t.match(said, /^Retry-After: [1-9]\d*\r$/m)
    t.equal(wrapper.count('http-backend'), 1)
    const shed = { class: 'pass', reason: 'queue-full' }
    t.equal(await sidecar.metric('refstream_processes_shed_total', shed), 2)
    t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'shed' }), 2)
    wrapper.signal('go')
    for (const { status } of await Promise.all(queued)) t.equal(status, 200)
    await running('pass', 0)
    socket.write(request)
    await eventually('the same connection is served now', () => said.endsWith('ref: refs/heads/main\n'))
    socket.destroy()
  })
}

t.test('a client that leaves the queue frees its place and starts no process', async (t) => {
  const setup = await setUp(t, ['a', 'b', 'c'], '--max-processes', '3', '--queue-max', '2')
  const { wrapper, sidecar, passThrough, waiting, running } = setup
  wrapper.plan(plans.wait, 'http-backend')
  const answers = [passThrough('a')]
  await running('pass', 1)
  for (let round = 0; round < 5; round++) {
    const leaver = connect(sidecar.url)
    leaver.write('GET /b.git/HEAD HTTP/1.1\r\nHost: x\r\n\r\n')
    await waiting('pass', 1)
    leaver.destroy()
    await waiting('pass', 0)
  }
  answers.push(passThrough('c'))
  await waiting('pass', 1)
  wrapper.signal('go')
  for (const { status } of await Promise.all(answers)) t.equal(status, 200)
  t.equal(wrapper.count('http-backend'), 2)
  // A client that knows the length may leave before Git's process has ended; its request still counts as under way.
  t.ok((await sidecar.metric('refstream_requests_total', { outcome: 'aborted' })) >= 5)
  const underWay = (): Promise<number> => sidecar.metric('refstream_requests_under_way')
  await eventually('no request is left', async () => (await underWay()) === 0)
})

t.test('a request that waits too long in a queue that does not move is shed', async (t) => {
  const setup = await setUp(t, ['a'], '--max-processes', '3', '--queue-wait-seconds', '0.2')
  const { wrapper, sidecar, passThrough, running } = setup
  wrapper.plan(plans.wait, 'http-backend')
  const first = passThrough('a')
  await running('pass', 1)
  const { status, headers } = await passThrough('a')
  t.equal(status, 429)
  t.match(headers['retry-after'], /^[1-9]\d*$/)
  t.equal(await sidecar.metric('refstream_processes_shed_total', { reason: 'wait' }), 1)
  wrapper.signal('go')
  t.equal((await first).status, 200)
})

t.test('pass-through requests that hang do not delay fills', async (t) => {
  const names = Array.from({ length: 10 }, (_, index) => `r${index}`)
  const setup = await setUp(t, names, '--max-processes', '5', '--queue-max', '2')
  const { wrapper, sidecar, passThrough, waiting, running } = setup
  wrapper.plan(plans.wait, 'http-backend')
  const hanging = ['r0', 'r0', 'r0', 'r0', 'r1'].map(passThrough)
  await running('pass', 3)
  await waiting('pass', 2)
  for (const name of names) t.equal((await ask(infoRefs(sidecar.url, `${name}.git`))).status, 200)
  wrapper.signal('go')
  await Promise.all(hanging)
})
