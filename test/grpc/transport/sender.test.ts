import t from 'tap'
import { constants } from 'node:http2'
import type { ServerWritableStream } from '@grpc/grpc-js'
import { messageSize, Sender } from '../../../src/grpc/transport/sender.js'
import { pending } from '../../support/producers.js'

type Written = (error?: Error | null) => void

/** A stream that takes messages when the test says so. @param session the HTTP/2 session that it is on */
function openStream(session: object = {}) {
  const written: { message: string; done: Written }[] = []
  const closed: number[] = []
  const stream = {
    call: { nextCall: { stream: { session, close: (code: number) => void closed.push(code) } } },
    write: (message: string, done: Written) => void written.push({ message, done }),
  } as unknown as ServerWritableStream<unknown, string>
  const client = new AbortController()
  return { sender: new Sender(stream, client.signal), written, closed, client }
}

t.test('the next message is due when the last one has been taken', async (t) => {
  const { sender, written } = openStream()
  const sent = sender.send('a', 10)
  t.equal(await pending(sent), true)
  t.equal(sender.owed(), true)
  t.equal(sender.taken(), 0)
  written[0]?.done()
  t.equal(await sent, true)
  t.equal(sender.owed(), false)
  t.equal(sender.taken(), 10)
})

t.test('a client that leaves takes nothing more', async (t) => {
  const { sender, written, client } = openStream()
  const sent = sender.send('a', 10)
  client.abort()
  t.equal(await sent, false)
  t.equal(await sender.send('b', 10), false)
  t.same(
    written.map(({ message }) => message),
    ['a'],
  )
  written[0]?.done(new Error('cancelled'))
})

t.test('a message that cannot be sent is an error, unless its client has left', async (t) => {
  const { sender, written, client } = openStream()
  const failed = sender.send('a', 10)
  written[0]?.done(new Error('too large'))
  await t.rejects(failed, { message: 'too large' })
  t.equal(sender.taken(), 0)
  const left = sender.send('b', 10)
  client.abort()
  written[1]?.done(new Error('cancelled'))
  t.equal(await left, false)
})

t.test('messages are small while a connection has much left to take, over all its streams', async (t) => {
  const session = {}
  const streams = Array.from({ length: 100 }, () => openStream(session))
  const other = openStream()
  const size = () => streams[0]!.sender.messageSize
  t.equal(size(), messageSize)
  const sent = streams.map(({ sender }) => sender.send('x', messageSize))
  t.ok(size() < messageSize)
  t.equal(other.sender.messageSize, messageSize)
  for (const { written } of streams) written[0]?.done()
  await Promise.all(sent)
  t.equal(size(), messageSize)
})

t.test('a cut resets the stream', async (t) => {
  const { sender, closed } = openStream()
  sender.cut()
  t.same(closed, [constants.NGHTTP2_ENHANCE_YOUR_CALM])
})
