// Who is answered, over which sockets, within which limits; with a real client.
import { readFileSync, renameSync } from 'node:fs'
import { createServer as createNetServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { PeerUnreachable } from '../../../../src/fleet/peers/peer.js'
import { FrameDecoder } from '../../../../src/fleet/peers/protocol/frames.js'
import { Authority } from '../../../support/certificates.js'
import { eventually } from '../../../support/eventually.js'
import {
  answering,
  answerWith,
  bytesOfAnswer,
  chunksOf,
  counted,
  createClient,
  growing,
  rawRequest,
  sendRaw,
  startServer,
  unending,
} from '../../../support/fleet/peers.js'
import { bytesOf, pending } from '../../../support/producers.js'
import { no, openCache } from '../../../support/stream-cache.js'
import { tempDir } from '../../../support/temp-dir.js'

const signal = unending()

t.test('over a Unix socket, without a secret', async (t) => {
  const path = join(tempDir(t), 'peer.sock')
  const { server } = await startServer(t, await answering(t, 'bytes'), { path })
  const { client } = createClient(t, `unix:${path}`)
  const ask = async () => (await bytesOfAnswer(await client.ask('b', {}, { signal }))).toString()
  t.equal(await ask(), 'bytes')
  await t.rejects(startServer(t, await answering(t), { path }), /another process/)
  await server.close()
  await t.rejects(ask(), PeerUnreachable)
  // As a process leaves it that is killed: a socket at which nothing listens.
  const dead = createNetServer()
  await new Promise<void>((resolve) => dead.listen(`${path}.first`, resolve))
  renameSync(`${path}.first`, path)
  await new Promise((resolve) => dead.close(resolve))
  await t.rejects(ask(), { name: 'PeerUnreachable', message: /ECONNREFUSED/ })
  await startServer(t, await answering(t, 'bytes of the next process'), { path })
  t.equal(await ask(), 'bytes of the next process')
})

t.test('over TLS, with certificates on both sides', async (t) => {
  const authority = new Authority(t)
  const ca = readFileSync(authority.cert, 'utf8')
  const pem = (from: Authority, san: string) => {
    const { cert, key } = from.issue({ san })
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), ca }
  }
  const own = pem(authority, 'IP:127.0.0.1')
  const elsewhere = pem(authority, 'DNS:elsewhere.example')
  const stranger = pem(new Authority(t), 'IP:127.0.0.1')
  const { url, server } = await startServer(t, await answering(t, 'bytes'), { secret: undefined, tls: own })
  t.match(url, /^https:/)
  const ask = async (tls: typeof own | undefined) => {
    const { client } = createClient(t, url, { secret: undefined, tls })
    return (await bytesOfAnswer(await client.ask('b', {}, { signal }))).toString()
  }
  t.equal(await ask(elsewhere), 'bytes', 'only the asked node needs a certificate for its address')
  await t.rejects(ask(stranger), PeerUnreachable, 'an authority of another fleet')
  await t.rejects(ask(undefined), PeerUnreachable, 'an authority that is not known')
  server.setTls(elsewhere)
  await t.rejects(ask(own), PeerUnreachable, 'the asked node has a certificate for another host')
  server.setTls(own)
  const { client } = createClient(t, url, { secret: undefined, tls: stranger })
  client.setTls(own)
  t.equal((await bytesOfAnswer(await client.ask('b', {}, { signal }))).toString(), 'bytes')
})

t.test('a wrong secret, and none', async (t) => {
  const { url, lines: there } = await startServer(t, await answering(t, 'bytes'))
  const { client, lines: here } = createClient(t, url, { secret: 'another secret of 16' })
  await t.rejects(client.ask('b', {}, { signal }), PeerUnreachable)
  const second = client.ask('b', {}, { signal })
  await t.rejects(second, { name: 'PeerUnreachable', message: /fleet secret/ })
  const without = createClient(t, url, { secret: undefined }).client
  await t.rejects(without.ask('b', {}, { signal }), PeerUnreachable)
  t.equal(there.length, 1, 'one line at most every minute')
  t.equal(here.length, 1)
})

t.test('a request that is sent again is refused', async (t) => {
  let asked = 0
  const answer = await answering(t, 'bytes')
  const { url } = await startServer(t, () => (asked++, answer()))
  const { status, connection, session = '' } = await sendRaw(url, rawRequest())
  t.equal(status, 401, 'the session is not known yet')
  t.equal(connection, 'keep-alive', 'nodes keep their connections')
  const request = rawRequest({ session })
  t.equal((await sendRaw(url, request)).status, 200)
  t.equal((await sendRaw(url, request)).status, 401)
  const another = await startServer(t, answer)
  t.equal((await sendRaw(another.url, request)).status, 401, 'nor by a node that has started since')
  const { headers } = rawRequest({ session, body: '{"a":1}' })
  await t.rejects(sendRaw(url, { headers, body: '{"a":2}' }), 'another body')
  t.equal(asked, 1)
})

t.test('paths, methods and heads that are none of a node', async (t) => {
  const { url } = await startServer(t, await answering(t, 'bytes'))
  const request = rawRequest()
  t.equal((await sendRaw(url, request, '/')).status, 404)
  t.equal((await sendRaw(url, { ...request, body: '' }, '/v1/entries', 'GET')).status, 404)
  t.match(await sendRaw(url, { headers: {}, body: '{}' }), { status: 401, connection: 'close' })
  t.equal((await sendRaw(url, rawRequest({ to: 'c' }))).status, 421)
  const expecting = { ...request, headers: { ...request.headers, expect: 'more' } }
  t.equal((await sendRaw(url, expecting)).status, 417)
  const { session = '' } = await sendRaw(url, request)
  t.equal((await sendRaw(url, rawRequest({ session, body: ' '.repeat((3 << 20) + 1) }))).status, 413)
  const { body } = await sendRaw(url, rawRequest({ session, body: '[]' }))
  t.match([...new FrameDecoder().decode(body)], [{ kind: 'refused' }])
})

t.test('what the asking node ends is ended here', async (t) => {
  const { producer, entry, answer } = await growing(t)
  const signals: AbortSignal[] = []
  const { url, server, metrics } = await startServer(t, (question, signal) => {
    signals.push(signal)
    if (question.hang !== true) return answer()
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
  })
  const { client, metrics: there } = createClient(t, url)
  const reason = Object.assign(new Error('ended by the caller'), { code: 'ECONNRESET' })
  const first = new AbortController()
  const hanging = client.ask('b', { hang: true }, { signal: first.signal })
  await eventually('the question has come', () => signals.length === 1)
  first.abort(reason)
  await t.rejects(hanging, reason)
  await eventually('its signal aborts', () => signals[0]!.aborted)

  producer.push(Buffer.from('some'))
  const second = new AbortController()
  const { body } = await client.ask('b', {}, { signal: second.signal })
  const bytes = chunksOf(body)
  await bytes.next()
  t.ok(entry.followed)
  const next = bytes.next()
  second.abort(reason)
  await t.rejects(next, reason)
  await eventually('its follower is closed', () => !entry.followed)

  const third = await client.ask('b', {}, { signal })
  for await (const chunk of third.body as AsyncIterable<Buffer>) {
    t.equal(chunk.toString(), 'some')
    break
  }
  await eventually('its follower is closed too', () => !entry.followed && server.questions === 0)
  t.equal(await counted(metrics, 'answered', 'broken'), 3)
  t.equal(await counted(there, 'asked', 'broken'), 0)
  await t.rejects(client.ask('b', {}, { signal: AbortSignal.abort(reason) }), reason)
})

t.test('a large entry, and a slow reader, take little memory', async (t) => {
  const size = 64 << 20
  const { cache } = await openCache(t, { maxLeadBytes: 4 << 20, hotMaxBytes: 8 << 20, patienceMs: 600_000 })
  let made = 0
  const produce = async function* () {
    for (; made < size; made += 1 << 20) yield bytesOf(1, made, 1 << 20)
  }
  const { entry } = cache.fill('key', undefined, produce, no)
  const { url } = await startServer(t, async () => answerWith(entry.follow()))
  const { client } = createClient(t, url)
  const { body } = await client.ask('b', {}, { signal })
  const before = process.memoryUsage().arrayBuffers
  let [length, most] = [0, 0]
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if (length === 0) {
      await eventually('the producer waits', async () => {
        const earlier = made
        await new Promise((resolve) => setTimeout(resolve, 50))
        return made === earlier
      })
      t.ok(made < 48 << 20, `${made >> 20} MiB made while nothing is read`)
    }
    if (!chunk.equals(bytesOf(1, length, chunk.length))) t.fail(`other bytes at ${length}`)
    length += chunk.length
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  t.equal(length, size)
  t.ok(most < 48 << 20, `${most >> 20} MiB`)
})

t.test('a node that reads nothing for long is cut off', async (t) => {
  const { producer, entry, answer } = await growing(t)
  const { url, server } = await startServer(t, answer, { limits: { stallMs: 50 } })
  const { client } = createClient(t, url)
  producer.push(bytesOf(1, 0, 32 << 20)).end()
  const { body } = await client.ask('b', {}, { signal })
  const bytes = chunksOf(body)
  await bytes.next()
  await eventually('its follower is closed', () => !entry.followed && server.questions === 0)
  const rest = async () => {
    while ((await bytes.next()).done !== true);
  }
  await t.rejects(rest(), PeerUnreachable)
})

t.test('more questions than the limit are refused, and are answered later', async (t) => {
  const { producer, answer } = await growing(t)
  const { url, server } = await startServer(t, answer, { limits: { questions: 2 } })
  const { client } = createClient(t, url)
  const ask = () => client.ask('b', {}, { signal })
  producer.push(Buffer.from('some'))
  const under = await Promise.all([ask(), ask()])
  t.equal(server.questions, 2)
  await t.rejects(ask(), { name: 'PeerRefused', why: 'elsewhere' })
  producer.end()
  for (const each of under) t.equal((await bytesOfAnswer(each)).toString(), 'some')
  await eventually('both have ended', () => server.questions === 0)
  t.equal((await bytesOfAnswer(await ask())).toString(), 'some')
})

t.test('a server that closes ends its answers, and takes no others', async (t) => {
  const { producer, entry, answer } = await growing(t)
  const { url, server } = await startServer(t, answer)
  const { client } = createClient(t, url)
  producer.push(Buffer.from('some'))
  const first = await client.ask('b', {}, { signal })
  const closed = server.close(60_000)
  await t.rejects(client.ask('b', {}, { signal }), PeerUnreachable)
  t.ok(await pending(closed))
  producer.push(Buffer.from(' more')).end()
  t.equal((await bytesOfAnswer(first)).toString(), 'some more')
  await closed
  t.notOk(entry.followed)
})

t.test('a server that may not wait breaks its answers off', async (t) => {
  const { producer, entry, answer } = await growing(t)
  const { url, server } = await startServer(t, answer)
  const { client } = createClient(t, url)
  producer.push(Buffer.from('some'))
  const answered = await client.ask('b', {}, { signal })
  await server.close()
  await t.rejects(bytesOfAnswer(answered), PeerUnreachable)
  await eventually('its follower is closed', () => !entry.followed)
})

t.test('a server needs something by which it knows nodes', async (t) => {
  await t.rejects(startServer(t, {}, { secret: undefined }), /fleet secret/)
  await t.rejects(startServer(t, {}, { secret: 'short' }), RangeError)
  const { url } = await startServer(t, await answering(t, 'x'), { secret: undefined, isLocal: true })
  const { client } = createClient(t, url, { secret: undefined })
  await t.rejects(client.ask('b', {}, { signal }), PeerUnreachable, 'a local one takes nothing over TCP')
})

t.test('a connection that cannot be accepted ends nothing', async (t) => {
  const { server, lines } = await startServer(t, await answering(t, 'bytes'))
  server.server.emit('error', new Error('EMFILE'))
  t.match(JSON.stringify(lines), 'cannot accept a connection of another node')
})
