import fc from 'fast-check'
import t from 'tap'
import { isWhole, packAnswer, PackRefused } from '../../../src/git/process/pack-answer.js'
import type { AnswerEnding } from '../../../src/git/protocol/answer-ending.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'

/** Cuts bytes at these offsets. */
async function* inChunks(bytes: Buffer, ends: readonly number[] = []): AsyncGenerator<Buffer> {
  let from = 0
  for (const end of [...ends.filter((each) => each <= bytes.length), bytes.length].sort((a, b) => a - b)) {
    yield bytes.subarray(from, end)
    from = end
  }
}

async function read(chunks: AsyncIterable<Buffer>): Promise<{ sent: Buffer; ending: AnswerEnding }> {
  const sent: Buffer[] = []
  const answer = packAnswer(chunks)
  for (;;) {
    const next = await answer.next()
    if (next.done) return { sent: Buffer.concat(sent), ending: next.value }
    sent.push(next.value)
  }
}

const pack = Buffer.concat([pktLine('packfile\n'), pktLine('\x01PACK…'), flushPacket])
const refusal = pktLine('ERR upload-pack: not our ref 1234')

t.test('a pack is passed on as it comes, in chunks of any size', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(pack.length)), async (ends) => {
      const { sent, ending } = await read(inChunks(pack, ends))
      return sent.equals(pack) && isWhole(ending, { endsInFlush: true })
    }),
  )
  const { ending } = await read(inChunks(pack.subarray(0, -4)))
  t.notOk(isWhole(ending, { endsInFlush: true }), 'without its flush packet it is not whole')
  t.ok(isWhole(ending, { endsInFlush: false }), 'unless it is a round of negotiation')
  const { ending: cut } = await read(inChunks(pack.subarray(0, -6)))
  t.notOk(isWhole(cut, { endsInFlush: false }), 'within a packet it is never whole')
})

t.test('a refusal is held back and thrown as a whole', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(refusal.length)), async (ends) => {
      const error: unknown = await read(inChunks(refusal, ends)).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      return error instanceof PackRefused && error.answer.equals(refusal)
    }),
  )
  await t.rejects(read(inChunks(refusal)), { message: /not our ref 1234/ })
})

t.test('an error behind the beginning is passed on, and its answer is whole', async (t) => {
  const broken = Buffer.concat([pktLine('packfile\n'), pktLine('\x03fatal: out of memory\n')])
  const { sent, ending } = await read(inChunks(broken))
  t.ok(sent.equals(broken))
  t.ok(isWhole(ending, { endsInFlush: true }))
  t.ok(ending.hasError)
})

t.test('what is no answer is an error, and its source is closed', async (t) => {
  let isClosed = false
  async function* source(...chunks: readonly string[]): AsyncGenerator<Buffer> {
    try {
      for (const chunk of chunks) yield Buffer.from(chunk)
    } finally {
      isClosed = true
    }
  }
  await t.rejects(read(source('<html>', '</html>')), { message: /not a pkt-line length/ })
  t.ok(isClosed)
  isClosed = false
  const long = `fff0ERR ${'x'.repeat(0xfff0 - 8)}`
  await t.rejects(read(source(long, long, long)), { message: /its error message is too long/ })
  t.ok(isClosed)
  const { sent, ending } = await read(source(refusal.toString().slice(0, 10)))
  t.equal(sent.length, 0, 'nothing of a refusal that is not whole is passed on')
  t.notOk(isWhole(ending, { endsInFlush: true }))
  const empty = await read(source())
  t.equal(empty.sent.length, 0)
  t.notOk(isWhole(empty.ending, { endsInFlush: true }))
})

t.test('a reader that stops closes the source', async (t) => {
  let isClosed = false
  async function* source(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield pktLine('packfile\n')
    } finally {
      isClosed = true
    }
  }
  for await (const chunk of packAnswer(source())) {
    t.ok(chunk.length > 0)
    break
  }
  t.ok(isClosed)
})

t.test('each chunk is reported: when it has come, and around its being taken', async (t) => {
  const events: string[] = []
  const pace = {
    came: () => events.push('came'),
    handing: () => events.push('handing'),
    taken: () => events.push('taken'),
  }
  for await (const chunk of packAnswer(inChunks(pack, [6, 20]), pace)) events.push(String(chunk.length))
  // The first bytes do not tell yet whether they begin a refusal.
  t.equal(events.join(' '), 'came came 6 handing 14 taken came handing 9 taken')
})
