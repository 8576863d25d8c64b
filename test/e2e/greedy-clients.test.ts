import t from 'tap'
import { once } from 'node:events'
import { request } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { connect, infoRefs } from '../support/http-client.js'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const advertised = '/r.git/info/refs?service=git-upload-pack'
const others = '127.0.0.2'

/** The status of an answer to a client at another address. */
function askFrom(localAddress: string, url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false, localAddress }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0))
    })
      .on('error', reject)
      .end()
  })
}

const gauge = (sidecar: SpawnedSidecar, name: string, holds: (value: number) => boolean): Promise<void> =>
  eventually(name, async () => holds(await sidecar.metric(name)))

/** A connection that reads nothing and ignores errors. */
function open(sidecar: SpawnedSidecar, localAddress = '127.0.0.1'): Socket {
  const { hostname, port } = new URL(sidecar.url)
  return createConnection({ host: hostname, port: Number(port), localAddress }).on('error', () => {})
}

t.test('eight connections with three thousand pipelined requests each count as eight requests', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  wrapper.plan(plans.wait, 'http-backend')
  const greedy = Array.from({ length: 8 }, () => {
    const socket = open(sidecar)
    socket.write(get('/r.git/HEAD') + get(advertised).repeat(3000))
    return socket
  })
  await gauge(sidecar, 'refstream_requests_pipelined', (count) => count > 8 * 16)
  await gauge(sidecar, 'refstream_requests_under_way', (count) => count === 8)
  for (const address of ['127.0.0.1', others])
    t.equal(await askFrom(address, infoRefs(sidecar.url, 'r.git')), 200)
  const waiting = await sidecar.metric('refstream_requests_pipelined')
  t.ok(waiting < 8 * 1500, `${waiting} have been read, no more than one read from the kernel returns`)

  wrapper.signal('go')
  // They are answered one after another; unread answers fill the kernel's buffers, and then the next one waits.
  const reader = greedy.pop()!
  let text = ''
  for await (const chunk of reader.setEncoding('latin1')) {
    text += chunk as string
    if (text.split('HTTP/1.1 200 OK\r\n').length === 3002 && text.endsWith('0000')) break
  }
  t.match(text, /^HTTP\/1.1 200 OK\r\n[^]*?\r\n\r\nref: refs\/heads\/main\n/, 'answers come in order')
  t.equal(text.split('HTTP/1.1 200 OK\r\n').length - 1, 3001, 'a client that reads gets every answer')
  for (const socket of greedy) socket.destroy()
  for (const name of ['refstream_requests_pipelined', 'refstream_requests_under_way']) {
    await gauge(sidecar, name, (count) => count === 0)
  }
})

t.test('a client that pipelines more than its share is disconnected, and no other client is', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path, '--max-requests', '40'] })
  wrapper.plan(plans.wait, 'http-backend')
  const modest = open(sidecar, others)
  modest.write(get('/r.git/HEAD') + get(advertised).repeat(5))
  await gauge(sidecar, 'refstream_requests_pipelined', (count) => count === 5)
  const greedy = open(sidecar)
  const closed = once(greedy.resume(), 'close')
  greedy.write(get('/r.git/HEAD') + get(advertised).repeat(60))
  await closed
  t.equal(await sidecar.metric('refstream_clients_cut_total', { reason: 'pipelining' }), 1)
  await gauge(sidecar, 'refstream_requests_pipelined', (count) => count === 5)
  wrapper.signal('go')
  let text = ''
  for await (const chunk of modest.setEncoding('latin1')) {
    text += chunk as string
    if (text.split('HTTP/1.1 200 OK\r\n').length === 7 && text.endsWith('0000')) break
  }
  t.pass('the other client has its six answers')
})

t.test('slow bodies from one address take at most three quarters of the places', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, { args: ['--max-requests', '40'] })
  const dripping = (address: string): Socket => {
    const socket = open(sidecar, address)
    socket.write(
      'POST /r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\nContent-Length: 1000\r\n' +
        'Content-Type: application/x-git-upload-pack-request\r\n\r\n0',
    )
    return socket
  }
  const first = Array.from({ length: 60 }, () => dripping('127.0.0.1'))
  const shed = (): Promise<number> => sidecar.metric('refstream_requests_shed_total', { reason: 'share' })
  await eventually('the others are shed', async () => (await shed()) === 30)
  t.equal(await sidecar.metric('refstream_requests_under_way'), 30)
  t.equal(await askFrom('127.0.0.1', infoRefs(sidecar.url, 'r.git')), 429)
  t.equal(await askFrom(others, infoRefs(sidecar.url, 'r.git')), 200)
  const second = Array.from({ length: 40 }, () => dripping('127.0.0.3'))
  await eventually('a second address has its share of the rest', async () => (await shed()) === 31 + 32)
  t.equal(await askFrom(others, infoRefs(sidecar.url, 'r.git')), 200, 'a third address is served')
  for (const socket of [...first, ...second]) socket.destroy()
  await gauge(sidecar, 'refstream_requests_under_way', (count) => count === 0)
})

t.test('slow bodies are bounded in bytes too', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, {
    args: ['--git', wrapper.path, '--max-body-memory-bytes', '400KiB'],
  })
  wrapper.plan(plans.wait, 'http-backend')
  const sending = Array.from({ length: 40 }, () => {
    const socket = open(sidecar)
    socket.write(
      'POST /r.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n' +
        `Content-Type: application/x-git-receive-pack-request\r\n\r\n${'0'.repeat(60_000)}`,
    )
    return socket
  })
  await gauge(sidecar, 'refstream_requests_under_way', (count) => count === 40)
  // Bodies that find no memory are left for Git to read, once it runs.
  await eventually('they wait for Git', async () => {
    const [running, waiting] = await Promise.all([
      sidecar.metric('refstream_process_permits_held', { class: 'pass' }),
      sidecar.metric('refstream_process_permits_waiting', { class: 'pass' }),
    ])
    return running + waiting >= 30
  })
  t.ok((await sidecar.metric('refstream_request_body_bytes')) <= 300 * 1024)
  for (const socket of sending) socket.destroy()
  await gauge(sidecar, 'refstream_request_body_bytes', (bytes) => bytes === 0)
})

t.test('unread answers delay their own connection only', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 100_000)
  const sidecar = await startSidecar(t, root)
  const greedy = Array.from({ length: 8 }, () => {
    const socket = open(sidecar)
    socket.write(get(advertised).repeat(3000))
    return socket
  })
  await gauge(sidecar, 'refstream_requests_pipelined', (count) => count > 8 * 16)
  await gauge(sidecar, 'refstream_requests_under_way', (count) => count === 8)
  t.equal(await askFrom(others, infoRefs(sidecar.url, 'r.git')), 200)
  const patient = connect(sidecar.url)
  patient.write(get(advertised))
  await once(patient, 'data')
  patient.destroy()
  for (const socket of greedy) socket.destroy()
  await gauge(sidecar, 'refstream_requests_under_way', (count) => count === 0)
})
