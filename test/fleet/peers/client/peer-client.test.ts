// A client at a real server, and at what is none.
import { createServer } from 'node:http'
import { createServer as createNetServer, type AddressInfo, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { PeerRefused, PeerSilent, PeerUnreachable } from '../../../../src/fleet/peers/peer.js'
import { controlFrame } from '../../../../src/fleet/peers/protocol/frames.js'
import { Prover } from '../../../../src/fleet/peers/protocol/proof.js'
import { eventually } from '../../../support/eventually.js'
import { startFaultProxy } from '../../../support/fault-proxy.js'
import {
  answering,
  bytesOfAnswer,
  chunksOf,
  counted,
  CountingClock,
  createClient,
  growing,
  rawRequest,
  sendRaw,
  startServer,
  unending,
} from '../../../support/fleet/peers.js'
import { pending, turns } from '../../../support/producers.js'
import { sha256 } from '../../../support/sha256.js'

const signal = unending()

/** Listens on a free port until the test ends. @returns the port */
async function portOf(t: Test, server: Server): Promise<number> {
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

t.test('a node that is not the one that was meant', async (t) => {
  const { url } = await startServer(t, await answering(t, 'bytes'))
  const { client, lines } = createClient(t, [{ name: 'c', url }])
  await t.rejects(client.ask('c', {}, { signal }), { name: 'PeerRefused', message: /another node/ })
  t.match(lines, [/421/])
})

t.test('a stranger without the secret cannot answer', async (t) => {
  const json = Buffer.from('{"ageMs":0}')
  let kind: 'head' | 'unchanged' | 'heard' = 'unchanged'
  const stranger = createServer((request, response) => {
    request.resume()
    const asked = Buffer.from(request.headers['refstream-proof'] as string, 'hex')
    response.end(controlFrame(kind, new Prover('a guess of 16 chars').answer(asked, kind, json), json))
  })
  const { client } = createClient(t, `http://127.0.0.1:${await portOf(t, stranger)}`)
  for (kind of ['unchanged', 'head'] as const) {
    const answer = client.ask('b', {}, { signal, sha256: sha256('') })
    await t.rejects(answer, { name: 'PeerUnreachable', message: /wrong proof/ })
  }
  kind = 'heard'
  await t.rejects(client.tell({}), PeerUnreachable)
})

t.test('an answer of another kind than was asked for', async (t) => {
  let asked: Buffer
  let kind: 'unchanged' | 'heard' | 'end' = 'unchanged'
  const odd = createServer((request, response) => {
    request.resume()
    asked = Buffer.from(request.headers['refstream-proof'] as string, 'hex')
    const json = Buffer.from('{"ageMs":0}')
    response.end(controlFrame(kind, new Prover(undefined).answer(asked, kind, json), json))
  })
  const { client } = createClient(t, `http://127.0.0.1:${await portOf(t, odd)}`, { secret: undefined })
  for (kind of ['unchanged', 'heard', 'end'] as const) {
    await t.rejects(client.ask('b', {}, { signal }), PeerUnreachable, kind)
  }
  kind = 'unchanged'
  await t.rejects(client.tell({}), PeerUnreachable)
})

t.test('an answer that is cut between two frames is not whole', async (t) => {
  const { url } = await startServer(t, await answering(t, 'first ', 'second'))
  const proxy = await startFaultProxy(t, { target: url })
  const { client } = createClient(t, proxy.url)
  const ask = async () => (await bytesOfAnswer(await client.ask('b', {}, { signal }))).toString()
  t.equal(await ask(), 'first second')
  const { session = '' } = await sendRaw(url, rawRequest())
  const { body } = await sendRaw(url, rawRequest({ session }))
  const ends = [0]
  for (let at = 0; at < body.length; ends.push(at)) at += 5 + body.readUInt32BE(at + 1)
  t.equal(ends.pop(), body.length)
  t.ok(ends.length > 2)
  for (const after of ends) {
    proxy.fault({ kind: 'truncated-chunks', after })
    await t.rejects(ask(), PeerUnreachable, `after ${after} bytes`)
  }
  proxy.fault({ kind: 'truncated-chunks', after: body.length })
  t.equal(await ask(), 'first second', 'all frames have come')
  for (const after of [0, 10, 250, 300]) {
    for (const kind of ['reset', 'close'] as const) {
      // A request that finds its kept connection closed is sent again.
      proxy.fault({ kind, after }, undefined, 2)
      await t.rejects(ask(), PeerUnreachable, `${kind} after ${after} bytes`)
      proxy.clear()
    }
  }
  proxy.fault({ kind: 'garbage' }, undefined, 2)
  await t.rejects(ask(), PeerUnreachable, 'garbage')
  proxy.clear()
  for (const status of [200, 404, 503]) {
    proxy.fault({ kind: 'answer', status, body: '' })
    await t.rejects(ask(), status === 404 ? PeerRefused : PeerUnreachable, `status ${status}`)
  }
  t.equal(await ask(), 'first second')
})

t.test('a kept connection that turns out to be closed is no dead node', async (t) => {
  const { url } = await startServer(t, await answering(t, 'bytes'))
  const proxy = await startFaultProxy(t, { target: url })
  const { client } = createClient(t, proxy.url)
  const ask = async () => {
    const bytes = await bytesOfAnswer(await client.ask('b', {}, { signal }))
    await eventually('the connection is free', () => proxy.running.now === 0)
    await turns()
    return bytes.toString()
  }
  await ask()
  const { accepted } = proxy.connections
  await ask()
  t.equal(proxy.connections.accepted, accepted, 'connections are kept')
  for (const by of ['close', 'reset'] as const) {
    proxy.fault({ kind: by, after: 0 })
    t.equal(await ask(), 'bytes')
    await ask()
  }
  proxy.fault({ kind: 'reset', after: 0 }, undefined, 2)
  await t.rejects(ask(), PeerUnreachable, 'but once only')
})

t.test('an answerer that takes long gives signs of life; a process that does not is silent', async (t) => {
  const { producer, answer } = await growing(t)
  const [there, here] = [new CountingClock(), new CountingClock()]
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const { url, server } = await startServer(t, () => begun.then(answer), { clock: there })
  const { client, metrics } = createClient(t, url, { clock: here })
  const answered = client.ask('b', {}, { signal })
  const sign = async () => {
    const { set } = here
    there.advance(1000)
    await eventually('a sign of life has come', () => here.set > set)
    here.advance(2900)
  }
  await eventually('the question has come', () => there.timers > 0)
  for (let second = 0; second < 5; second++) await sign()
  t.ok(await pending(answered))
  begin()
  const bytes = chunksOf((await answered).body)
  producer.push(Buffer.from('some'))
  t.equal(String((await bytes.next()).value), 'some')
  const next = bytes.next()
  for (let second = 0; second < 5; second++) await sign()
  t.ok(await pending(next))
  here.advance(100)
  await t.rejects(next, PeerSilent)
  t.equal(await counted(metrics, 'asked', 'silent'), 1)
  await eventually('its answer has ended there', () => server.questions === 0)
  there.advance(1000)
  t.equal(there.timers, 0, 'no signs are sent when there is no answer')
})

t.test('a pause of the reader is no silence of the node', async (t) => {
  const { producer, answer } = await growing(t)
  const [there, here] = [new CountingClock(), new CountingClock()]
  const { url } = await startServer(t, answer, { clock: there })
  const { client } = createClient(t, url, { clock: here })
  const bytes = chunksOf((await client.ask('b', {}, { signal })).body)
  producer.push(Buffer.from('some'))
  await bytes.next()
  here.advance(60_000)
  await turns()
  producer.push(Buffer.from('more')).end()
  t.equal(String((await bytes.next()).value), 'more')
  t.equal((await bytes.next()).done, true)
})

t.test(
  'a node that takes connections and says nothing is silent, also in the handshake of TLS',
  async (t) => {
    const port = await portOf(t, createNetServer())
    for (const scheme of ['http', 'https']) {
      const clock = new CountingClock()
      const { client } = createClient(t, `${scheme}://127.0.0.1:${port}`, { clock })
      const answer = client.ask('b', {}, { signal })
      answer.catch(() => {})
      await eventually('the connection is made', () => clock.set === 2)
      clock.advance(2999)
      t.ok(await pending(answer), scheme)
      clock.advance(1)
      await t.rejects(answer, PeerSilent, scheme)
    }
  },
)

t.test('a connection that is not made in a second, a port that refuses, a name that is none', async (t) => {
  const clock = new CountingClock()
  // RFC 5737: no host has this address. Where there is no route to it, that is known at once.
  const { client } = createClient(t, 'http://192.0.2.1:9', { clock })
  const answer = client.ask('b', {}, { signal })
  answer.catch(() => {})
  await eventually('it connects', () => clock.set > 0)
  clock.advance(1000)
  await t.rejects(answer, PeerUnreachable)
  const server = createNetServer()
  const port = await portOf(t, server)
  await new Promise((resolve) => server.close(resolve))
  const { client: other, metrics } = createClient(t, `http://127.0.0.1:${port}`)
  await t.rejects(other.ask('b', {}, { signal }), { name: 'PeerUnreachable', message: /ECONNREFUSED/ })
  await t.rejects(other.ask('x', {}, { signal }), { name: 'PeerUnreachable', message: /node x is not among/ })
  await t.rejects(other.ask('a', {}, { signal }), { name: 'PeerUnreachable', message: /itself/ })
  await t.rejects(other.ask('b', { huge: 'x'.repeat(4 << 20) }, { signal }), PeerRefused)
  t.equal(await counted(metrics, 'asked', 'broken'), 3)
})

t.test('questions wait for one of a bounded number of connections, and may be ended meanwhile', async (t) => {
  const { producer, answer } = await growing(t)
  const { url, server } = await startServer(t, answer)
  const clock = new CountingClock()
  const { client } = createClient(t, url, { clock, limits: { connections: 1, waiting: 2 } })
  producer.push(Buffer.from('some'))
  const first = await client.ask('b', {}, { signal })
  const end = new AbortController()
  const [second, third] = [end.signal, signal].map((signal) => client.ask('b', {}, { signal }))
  await t.rejects(client.ask('b', {}, { signal }), PeerRefused, 'too many wait')
  clock.advance(60_000)
  t.ok(await pending(third!), 'the wait is no silence')
  end.abort(new Error('ended'))
  await t.rejects(second!, { message: 'ended' })
  t.equal(server.questions, 1)
  producer.end()
  t.equal((await bytesOfAnswer(first)).toString(), 'some')
  t.equal((await bytesOfAnswer(await third!)).toString(), 'some')
})

t.test('telling all others', async (t) => {
  const heard: unknown[] = []
  const start = async (node: string) =>
    startServer(t, { hear: (message) => void heard.push([node, message]) }, { node })
  const [b, c] = [await start('b'), await start('c')]
  const members = [
    { name: 'a', url: 'http://192.0.2.1:9' },
    { name: 'b', url: b.url },
    { name: 'c', url: c.url },
  ]
  const { client } = createClient(t, members)
  await client.tell({ opened: 1 })
  t.strictSame(heard.sort(), [
    ['b', { opened: 1 }],
    ['c', { opened: 1 }],
  ])
  await b.server.close()
  await t.rejects(client.tell({ opened: 2 }), { name: 'PeerUnreachable', message: /node b/ })
  t.strictSame(heard.at(-1), ['c', { opened: 2 }], 'the others have heard it')

  const clock = new CountingClock()
  const silent = { name: 'd', url: `http://127.0.0.1:${await portOf(t, createNetServer())}` }
  const { client: other } = createClient(t, [...members.slice(0, 2), silent], { clock })
  const told = other.tell({ opened: 3 })
  told.catch(() => {})
  // For each of the two, all of it and the connection; and the head of the one that is there.
  await eventually('the silent one is asked', () => clock.set >= 5)
  await turns()
  clock.advance(1000)
  await t.rejects(told, { name: 'PeerSilent', message: /node b.*node d/ })
  await createClient(t, []).client.tell({})
})
