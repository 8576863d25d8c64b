import t from 'tap'
import type { Exchange } from '../../src/http/exchange.js'
import { sendEntryBody, sendForm } from '../../src/http/entry-body.js'
import type { Follower } from '../../src/streamcache/index.js'

/** An exchange that records what it sends, and whose client leaves after so many chunks. */
function record(leavesAfter = Infinity) {
  const sent: string[] = []
  const shared: boolean[] = []
  const lefts: (number | undefined)[] = []
  const exchange = {
    get aborted() {
      return sent.length >= leavesAfter
    },
    send: async (chunk: Buffer, isShared: boolean, left?: number) => {
      sent.push(String(chunk))
      shared.push(isShared)
      lefts.push(left)
      return sent.length < leavesAfter
    },
    end: (chunk: Buffer) => void sent.push(`${String(chunk)}.`),
    response: { end: () => sent.push('.') },
  }
  return { sent, shared, lefts, exchange: exchange as unknown as Exchange }
}

/** A follower that has read the first chunk; `size` is known from the start or never; `coldAt`: chunks that are read from disk. */
function followerOf(chunks: string[], isComplete: boolean, coldAt: number[] = []): Follower {
  const size = isComplete ? chunks.join('').length : undefined
  let read = 1
  const offset = (): number => chunks.slice(0, read).join('').length
  return {
    size,
    get offset() {
      return offset()
    },
    read: () => {
      const chunk = read < chunks.length ? Buffer.from(chunks[read++]!) : null
      return chunk && coldAt.includes(read - 1) ? Promise.resolve(chunk) : chunk
    },
  } as unknown as Follower
}

t.test('a body that is one chunk is sent with the end, and without a promise', async (t) => {
  const { sent, exchange } = record()
  t.equal(sendEntryBody(exchange, followerOf(['ab'], true), Buffer.from('ab')), undefined)
  t.same(sent, ['ab.'])
})

t.test('longer ones, and those that grow, are sent to their end', async (t) => {
  const complete = record()
  await sendEntryBody(complete.exchange, followerOf(['ab', 'cd', 'e'], true), Buffer.from('ab'))
  t.same(complete.sent, ['ab', 'cd', 'e.'])
  const growing = record()
  await sendEntryBody(growing.exchange, followerOf(['ab', 'cd'], false), Buffer.from('ab'))
  t.same(growing.sent, ['ab', 'cd', '.'])
  const empty = record()
  await sendEntryBody(empty.exchange, followerOf([], true), null)
  t.same(empty.sent, ['.'])
})

t.test('nothing more is sent, and no end, to a client that has left', async (t) => {
  const { sent, exchange } = record(1)
  await sendEntryBody(exchange, followerOf(['ab', 'cd'], false), Buffer.from('ab'))
  t.same(sent, ['ab'])
})

t.test('only chunks in memory of a whole entry may wait for the client together', async (t) => {
  const whole = record()
  await sendEntryBody(whole.exchange, followerOf(['a', 'b', 'c', 'd', 'e'], true, [2]), Buffer.from('a'))
  t.same(whole.sent, ['a', 'b', 'c', 'd', 'e.'])
  t.same(whole.shared, [true, true, false, true])
  const growing = record()
  await sendEntryBody(growing.exchange, followerOf(['a', 'b'], false), Buffer.from('a'))
  t.same(growing.shared, [false, false])
})

t.test('of a whole body it is told how much is left', async (t) => {
  const whole = record()
  await sendEntryBody(whole.exchange, followerOf(['ab', 'cde', 'f', 'g'], true), Buffer.from('ab'))
  t.same(whole.lefts, [7, 5, 2])
  const growing = record()
  await sendEntryBody(growing.exchange, followerOf(['a', 'b'], false), Buffer.from('a'))
  t.same(growing.lefts, [undefined, undefined])
  const form = record()
  const chunks = ['ab', 'cde', 'f'].map((text) => Buffer.from(text))
  await sendForm(form.exchange, { coding: 'gzip', chunks, length: 6 })
  t.same(form.sent, ['ab', 'cde', 'f', '.'])
  t.same(form.lefts, [6, 4, 1])
})
