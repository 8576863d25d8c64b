import t from 'tap'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, connect, infoRefs } from '../support/http-client.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const target = '/big.git/info/refs?service=git-upload-pack'

/** Far more than the kernel buffers between a server and a client on loopback. */
function makeBig(t: Test): string {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'big.git'), 300_000)
  makeRepository(root, 'r.git')
  return root
}

const cuts = (sidecar: SpawnedSidecar, reason: string, count: number): Promise<void> =>
  eventually(`${count} were disconnected`, async () => {
    return (await sidecar.metric('refstream_clients_cut_total', { reason })) === count
  })

/** A client that requests the large answer and reads its first bytes. */
async function start(sidecar: SpawnedSidecar, request = get(target)): Promise<Socket> {
  const socket = connect(sidecar.url)
  socket.on('error', () => {})
  socket.write(request)
  await once(socket, 'readable')
  socket.read(1024)
  return socket
}

t.test(
  'a client that stops reading is disconnected; one that reads slowly and steadily is not',
  async (t) => {
    const sidecar = await startSidecar(t, makeBig(t), { args: ['--client-idle-seconds', '2'] })
    const { body } = await ask(infoRefs(sidecar.url, 'big.git'))
    const idle = await start(sidecar)
    const steady = await start(sidecar)
    let received = 1024
    const over = { yet: false }
    const cut = cuts(sidecar, 'idle', 1).then(() => (over.yet = true))
    for await (const chunk of steady) {
      received += (chunk as Buffer).length
      if (received >= body.length) break
      if (!over.yet) await sleep(20)
    }
    await cut
    t.ok(received >= body.length, 'it has the whole answer')
    // The client sees the end only after it has read what the kernel has buffered.
    idle.resume()
    await once(idle, 'close')
    steady.destroy()
    await eventually('no follower is left', async () => (await sidecar.metric('refstream_followers')) === 0)
    t.equal(await sidecar.metric('refstream_clients_cut_total'), 1)
  },
)

t.test('a client that reads slower than --client-min-rate is disconnected', async (t) => {
  const args = ['--client-idle-seconds', '0.5', '--client-min-rate', '1GiB']
  const sidecar = await startSidecar(t, makeBig(t), { args })
  const socket = await start(sidecar)
  const trickle = setInterval(() => void socket.read(), 5)
  await cuts(sidecar, 'slow', 1)
  clearInterval(trickle)
  socket.destroy()
})

t.test('a client that stalls within a request is disconnected', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, { args: ['--request-idle-seconds', '0.3'] })
  const head = (type: string): string =>
    `POST /r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\nContent-Length: 1000\r\n` +
    `Content-Type: ${type}\r\n\r\n`
  // Git reads the first body; refstream reads the second, to decide what the request is.
  const bodies = [
    `${head('application/x-git-upload-pack-request')}0011command=fetch`,
    `${head('application/x-git-upload-pack-request')}0014comm`,
  ]
  for (const [index, bytes] of bodies.entries()) {
    const socket = connect(sidecar.url)
    socket.on('error', () => {})
    socket.write(bytes)
    socket.resume()
    await once(socket, 'close')
    await cuts(sidecar, 'silent', index + 1)
  }
  await eventually('no process is left', async () => {
    return (await sidecar.metric('refstream_processes_running')) === 0
  })
  t.equal(await sidecar.metric('refstream_process_permits_held'), 0)
})

t.test(
  'a client that waits for the answer to its first request is not idle, though it has sent another',
  async (t) => {
    const root = makeBig(t)
    const wrapper = makeGitWrapper(t)
    const sidecar = await startSidecar(t, root, {
      args: ['--git', wrapper.path, '--client-idle-seconds', '0.3'],
    })
    const { body } = await ask(infoRefs(sidecar.url, 'big.git'))
    wrapper.plan(plans.wait, 'http-backend')
    const pipelined = (count: number): Promise<void> =>
      eventually(
        `${count} wait`,
        async () => (await sidecar.metric('refstream_requests_pipelined')) === count,
      )
    const pipelining = (): Socket => {
      const socket = connect(sidecar.url)
      socket.write(get('/r.git/HEAD') + get(target))
      return socket
    }
    const patient = pipelining()
    let received = 0
    patient.on('data', (chunk: Buffer) => (received += chunk.length))
    await pipelined(1)
    const leaver = pipelining()
    await pipelined(2)
    leaver.destroy()
    await pipelined(1)
    await eventually('the idle client has been disconnected', async () => {
      return (await sidecar.metric('refstream_requests_total', { outcome: 'aborted' })) === 2
    })
    // By the time an idle client is disconnected, the others would have been too.
    for (const count of [1, 2]) {
      const idle = await start(sidecar)
      await cuts(sidecar, 'idle', count)
      idle.destroy()
    }
    wrapper.signal('go')
    await eventually('the waiting client gets both answers', () => received > body.length)
    patient.destroy()
  },
)

t.test(
  'a client that sends its request slower than the minimum rate is disconnected; a faster one is not',
  async (t) => {
    const root = tempDir(t)
    makeRepository(root, 'r.git')
    const args = ['--request-idle-seconds', '2', '--request-min-rate', '1000']
    const sidecar = await startSidecar(t, root, { args })
    const sending = (bytes: number): Socket => {
      const socket = connect(sidecar.url)
      socket.on('error', () => {})
      socket.write(
        'POST /r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n' +
          'Content-Type: application/x-git-upload-pack-request\r\n\r\n',
      )
      const timer = setInterval(() => void socket.write(Buffer.alloc(bytes, '0')), 20)
      socket.once('close', () => clearInterval(timer))
      socket.resume()
      return socket
    }
    // The other sends at the same intervals, but a thousand times as many bytes each time.
    const steady = sending(1000)
    for (const count of [1, 2]) {
      const dripping = sending(1)
      // A byte on its way when the connection is cut makes a reset of it: `once` would throw that.
      await new Promise((resolve) => dripping.once('close', resolve))
      await cuts(sidecar, 'trickling', count)
    }
    t.notOk(steady.destroyed)
    steady.destroy()
  },
)
