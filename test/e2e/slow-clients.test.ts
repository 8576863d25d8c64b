import t from 'tap'
import { once } from 'node:events'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, connect, infoRefs, open } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a client that stops reading delays neither the fill, nor its commit, nor the others', async (t) => {
  const root = tempDir(t)
  // Far more than the kernel buffers between a server and a client on loopback.
  addPackedBranches(makeRepository(root, 'big.git'), 300_000)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const url = infoRefs(sidecar.url, 'big.git')

  const slow = connect(url)
  slow.write(`GET ${new URL(url).pathname}?service=git-upload-pack HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  await once(slow, 'readable')
  t.equal((slow.read(1024) as Buffer).length, 1024, 'it reads 1 KB and then nothing')

  const fast = await ask(url)
  t.equal(fast.status, 200)
  t.ok(fast.body.length > 15_000_000, 'another has all of it')
  const stored = (): Promise<number> => sidecar.metric('refstream_store_entries')
  await eventually('the entry is committed', async () => (await stored()) === 1)
  t.equal((await ask(url)).body.length, fast.body.length, 'a third is served from it')
  t.equal(wrapper.count('upload-pack'), 1)
  t.equal(await sidecar.metric('refstream_processes_running'), 0, 'Git has ended')
  t.equal(await sidecar.metric('refstream_followers'), 1, 'while the slow client is still attached')

  let received = 1024
  slow.on('data', (chunk: Buffer) => (received += chunk.length))
  await eventually('the slow one gets all of it too, when it reads', () => received > fast.body.length)
  slow.destroy()
  await eventually('it is gone', async () => (await sidecar.metric('refstream_followers')) === 0)
})

t.test('the client whose request started the fill may leave: those that joined are served', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 2000)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(plans.pause(1000))
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const url = infoRefs(sidecar.url, 'r.git')

  const first = await open(url, {})
  const others = [ask(url), ask(url)]
  await eventually('all follow', async () => (await sidecar.metric('refstream_followers')) === 3)
  first.destroy()
  await eventually('the first has left', async () => (await sidecar.metric('refstream_followers')) === 2)
  wrapper.signal('go')
  for (const { status, body } of await Promise.all(others)) {
    t.equal(status, 200)
    t.ok(body.length > 100_000)
  }
  t.equal((await ask(url)).body.length, (await others[0])?.body.length, 'and it was committed')
  t.equal(wrapper.count('upload-pack'), 1)
  const aborted = (): Promise<number> => sidecar.metric('refstream_requests_total', { outcome: 'aborted' })
  await eventually('the first is counted', async () => (await aborted()) === 1)
})
