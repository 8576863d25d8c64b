import t from 'tap'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { ask, connect, infoRefs, raw } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

/** A Git that writes its process id, then waits for `go`. */
const waits = `echo $$ > "$dir/pid"; : > "$dir/paused"; while [ ! -f "$dir/go" ]; do sleep 0.01; done\n`

async function setUp(t: Test, ...args: string[]) {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 100)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(waits)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path, ...args] })
  return { wrapper, sidecar, url: infoRefs(sidecar.url, 'r.git') }
}

const refused = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    connect(url)
      .on('connect', () => resolve(false))
      .on('error', () => resolve(true))
  })

/** Does the process run? A zombie does not. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(
    `${signal}: requests under way are finished, new ones refused, and the exit code is 0`,
    async (t) => {
      const { wrapper, sidecar, url } = await setUp(t)
      t.equal((await ask(`${sidecar.adminUrl}/readyz`)).status, 200)
      const client = ask(url)
      await eventually('Git runs', () => wrapper.hasFile('paused'))
      const exit = sidecar.stop(signal)
      await eventually('new connections are refused', () => refused(sidecar.url))
      t.equal((await ask(`${sidecar.adminUrl}/readyz`)).status, 503, 'no longer ready')
      t.equal((await ask(`${sidecar.adminUrl}/healthz`)).status, 200, 'still healthy')
      wrapper.signal('go')
      t.equal((await client).status, 200)
      t.equal(await exit, 0)
    },
  )
}

t.test('a request that does not finish in time is broken off, and its Git processes end', async (t) => {
  const { wrapper, sidecar, url } = await setUp(t, '--drain-seconds', '0.2')
  const client = ask(url).catch(() => 'broken off')
  await eventually('Git runs', () => wrapper.hasFile('paused'))
  t.equal(await sidecar.stop(), 0)
  t.equal(await client, 'broken off')
})

t.test('a second signal makes it exit at once, and no process is left', async (t) => {
  const { wrapper, sidecar, url } = await setUp(t)
  wrapper.plan(`trap '' TERM\n${waits}`)
  const client = ask(url).catch(() => 'broken off')
  await eventually('Git runs', () => wrapper.hasFile('paused'))
  const git = wrapper.read('pid')
  const exit = sidecar.stop()
  await eventually('the first signal is seen', () => sidecar.log.some(({ signal }) => signal === 'SIGTERM'))
  process.kill(sidecar.pid, 'SIGINT')
  t.equal(await exit, 1)
  t.equal(await client, 'broken off')
  await eventually('Git is gone', () => !runs(Number(git)))
})

t.test('connections without any request do not delay it', async (t) => {
  const { wrapper, sidecar, url } = await setUp(t)
  wrapper.plan(undefined)
  const unused = connect(sidecar.url)
  const closed = once(unused, 'close')
  await once(unused, 'connect')
  await ask(url)
  // Draining takes half a minute at most; the time limit for the head of a request is a minute.
  const exit = sidecar.stop()
  await closed
  t.equal(await exit, 0)
})

t.test('a request whose body was asked for is finished', async (t) => {
  const { wrapper, sidecar } = await setUp(t)
  wrapper.plan(waits, 'http-backend')
  const head =
    'POST /r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n'
  const answer = raw(
    sidecar.url,
    `${head}Content-Type: application/x-git-upload-pack-request\r\nConnection: close\r\n\r\n0000`,
  )
  await eventually('Git runs', () => wrapper.hasFile('paused'))
  const exit = sidecar.stop()
  await eventually('new connections are refused', () => refused(sidecar.url))
  wrapper.signal('go')
  t.match(await answer, /HTTP\/1\.1 200 /)
  t.equal(await exit, 0)
})

t.test('idle connections do not delay it', async (t) => {
  const { sidecar } = await setUp(t)
  const idle = connect(sidecar.url)
  idle.on('error', () => {})
  idle.write('GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n')
  await new Promise((resolve) => idle.once('data', resolve))
  t.equal(await sidecar.stop(), 0)
})
