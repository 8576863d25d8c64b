import t from 'tap'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from '../support/eventually.js'
import { plans } from '../support/git-wrapper.js'
import { ask, connect, infoRefs } from '../support/http-client.js'
import { LeaseClient } from '../support/lease-client.js'
import { makePackWrapper, type PackWrapper } from '../support/pack-wrapper.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const run = promisify(execFile)
type Test = Parameters<typeof tempDir>[0]

interface Full {
  readonly root: string
  readonly wrapper: PackWrapper
  readonly sidecar: SpawnedSidecar
  /** The requests that hang or wait; they end once the file `go` exists. */
  readonly answers: Promise<{ status: number }>[]
}

/** A sidecar whose one pass-through permit is taken by a hanging process, and whose queue for new clients is full. */
async function makeFull(t: Test, ...args: string[]): Promise<Full> {
  const root = tempDir(t)
  for (const name of ['a', 'b', 'c', 'd']) makeRepository(root, `${name}.git`)
  const wrapper = makePackWrapper(t)
  wrapper.plan(plans.wait, 'http-backend')
  const limits = ['--max-processes', '3', '--queue-max', '2', '--queue-wait-seconds', '600']
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path, ...limits, ...args] })
  const answers: Full['answers'] = []
  for (const name of ['a', 'b', 'c']) {
    answers.push(ask(`${sidecar.url}/${name}.git/HEAD`))
    const count = answers.length - 1
    await eventually('it runs or waits', async () => {
      const running = await sidecar.metric('refstream_process_permits_held', { class: 'pass' })
      return (
        running === 1 &&
        (await sidecar.metric('refstream_process_permits_waiting', { class: 'pass' })) === count
      )
    })
  }
  return { root, wrapper, sidecar, answers }
}

for (const version of [0, 2]) {
  t.test(
    `the POST of an admitted clone is queued while new clients are shed: protocol v${version}`,
    async (t) => {
      const { wrapper, sidecar, answers } = await makeFull(t)
      wrapper.planPacks(plans.wait)
      const directory = tempDir(t)
      const clones: Promise<unknown>[] = []
      const startClone = (name: string): unknown => {
        const args = [
          '-c',
          `protocol.version=${version}`,
          'clone',
          '--quiet',
          `${sidecar.url}/${name}.git`,
          name,
        ]
        return clones.push(run('git', args, { env: gitEnvironment, cwd: directory }))
      }
      const packs = (state: 'held' | 'waiting'): Promise<number> =>
        sidecar.metric(`refstream_process_permits_${state}`, { class: 'pack' })
      startClone('c')
      await eventually('its POST has the only permit for packs', async () => (await packs('held')) === 1)
      startClone('d')
      await eventually('its POST waits', async () => (await packs('waiting')) === 1)
      t.equal((await ask(`${sidecar.url}/d.git/HEAD`)).status, 429, 'a new client is shed')
      wrapper.signal('go')
      await Promise.all(clones)
      for (const name of ['c', 'd']) {
        const clone = join(directory, name)
        t.equal(git(clone, 'rev-parse', 'v1^{commit}'), git(clone, 'rev-parse', 'HEAD'))
      }
      for (const { status } of await Promise.all(answers)) t.equal(status, 200)
    },
  )
}

t.test('a client is not admitted if its fetch could not be queued', async (t) => {
  const { wrapper, sidecar, answers } = await makeFull(t)
  const fetch = (name: string): void => {
    const headers = { 'Content-Type': 'application/x-git-upload-pack-request' }
    answers.push(ask(`${sidecar.url}/${name}.git/git-upload-pack`, { method: 'POST', headers, body: '0000' }))
  }
  // There are eight places for admitted clients; a repository may take half of the free ones.
  for (const [index, name] of ['a', 'a', 'a', 'a', 'b', 'b', 'c', 'd'].entries()) {
    t.equal((await ask(infoRefs(sidecar.url, `${name}.git`))).status, 200)
    fetch(name)
    const waiting = (): Promise<number> =>
      sidecar.metric('refstream_process_permits_waiting', { class: 'pass' })
    await eventually('it waits', async () => (await waiting()) === 3 + index)
  }
  const { status, headers } = await ask(infoRefs(sidecar.url, 'a.git'))
  t.equal(status, 429)
  t.match(headers['retry-after'], /^[1-9]\d*$/)
  t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'shed' }), 1)
  await eventually('it is logged', () =>
    sidecar.log.some(({ msg }) => String(msg).startsWith('requests are shed')),
  )
  wrapper.signal('go')
  await Promise.all(answers)
})

t.test('--max-requests: one more request is shed, of any kind', async (t) => {
  const { wrapper, sidecar, answers } = await makeFull(t, '--max-requests', '3')
  const { status, headers } = await ask(infoRefs(sidecar.url, 'd.git'))
  t.equal(status, 429)
  t.match(headers['retry-after'], /^[1-9]\d*$/)
  t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'shed' }), 1)
  t.equal(await sidecar.metric('refstream_requests_under_way'), 3)
  wrapper.signal('go')
  await Promise.all(answers)
  await eventually('there is room', async () => (await ask(infoRefs(sidecar.url, 'd.git'))).status === 200)
})

t.test('a request whose client has left does not count, whatever it waited for', async (t) => {
  const { root, sidecar, wrapper, answers } = await makeFull(t)
  wrapper.plan(`: > "$dir/filling"\n${plans.wait}`)
  const underWay = async (count: number): Promise<void> =>
    eventually(`${count} are under way`, async () => {
      return (await sidecar.metric('refstream_requests_under_way')) === count
    })
  await underWay(3)
  const body = '0014command=ls-refs\n0000'
  const type = 'Content-Type: application/x-git-upload-pack-request'
  const lsRefs =
    `POST /a.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\n${type}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  const advertisement = 'GET /b.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n'
  for (const request of [lsRefs, advertisement]) {
    const first = connect(sidecar.url)
    first.write(request)
    await underWay(4)
    await eventually('its fill runs or waits', async () => {
      const fills = ['held', 'waiting'].map((state) => `refstream_process_permits_${state}`)
      const counts = await Promise.all(fills.map((name) => sidecar.metric(name, { class: 'fill' })))
      return counts.reduce((a, b) => a + b) === (request === lsRefs ? 1 : 2)
    })
    // A request after a change waits for the next fill.
    git(join(root, request === lsRefs ? 'a.git' : 'b.git'), 'update-ref', 'refs/heads/new', 'main')
    const second = connect(sidecar.url)
    second.write(request)
    await underWay(5)
    first.destroy()
    second.destroy()
    await underWay(3)
  }
  wrapper.signal('go')
  await Promise.all(answers)
})

t.test('the admin server answers while the data server is at its limits', async (t) => {
  const { wrapper, sidecar, answers } = await makeFull(t, '--max-requests', '4')
  wrapper.plan(plans.wait)
  answers.push(ask(infoRefs(sidecar.url, 'd.git')))
  await eventually('it is full', async () => (await ask(`${sidecar.url}/a.git/HEAD`)).status === 429)
  for (const path of ['/healthz', '/metrics', '/readyz']) {
    t.equal((await ask(sidecar.adminUrl + path)).status, 200, path)
  }
  const leases = new LeaseClient(sidecar.adminUrl, 'a.git')
  await leases.end(await leases.open())
  wrapper.signal('go')
  for (const { status } of await Promise.all(answers)) t.equal(status, 200)
})
